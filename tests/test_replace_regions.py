"""ReplaceRegions: what is replaced, what stays bit for bit, and what is refused."""

import pytest
import torch
from torch import Tensor, fx, nn

from kit import check_pass, ir, outputs, randomised
from nascc.compiler import compile
from nascc.compiler.capture import captured_graph
from nascc.passes import Region, ReplaceRegions, run_pass
from nascc.passes import graph as g
from nascc.passes.blocks import find_places
from test_blocks import Branching, Stages

X = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def conv(c_in: int, c_out: int, stride: int = 1, side: int = 16) -> fx.GraphModule:
    """A block of another kind."""
    block = nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, 1), nn.BatchNorm2d(c_out), nn.ReLU())
    return ir(randomised(block), torch.randn(2, c_in, side, side))


def nothing(channels: int, side: int = 16) -> fx.GraphModule:
    return ir(nn.Identity(), torch.randn(2, channels, side, side))


def region(gm: fx.GraphModule, index: int, graph: fx.GraphModule) -> Region:
    place = find_places(gm)[index]
    return Region(f"{place.name}.new", place.begin, place.end, graph)


def network() -> fx.GraphModule:
    return ir(randomised(Stages()), X)


def test_computes_what_the_modules_compute() -> None:
    gm, block, strided = network(), conv(8, 8), conv(8, 12, 2)
    stages = randomised(Stages())
    wanted = stages.double()
    with torch.no_grad():
        x = wanted.stem(X.double())
        x = outputs(block, [x])[0]
        x = wanted.stages[0][1](x)
        x = wanted.stages[1][1](outputs(strided, [x])[0])
        expected = wanted.fc(x.mean((2, 3)))
    result = run_pass(ReplaceRegions((region(gm, 0, block), region(gm, 2, strided))), gm)
    assert len(result.rewrites) == 2 and not result.rejects
    torch.testing.assert_close(outputs(gm, [X])[0], expected, rtol=1e-12, atol=1e-12)


def test_neighbours_are_replaced_together() -> None:
    gm = network()
    regions = (region(gm, 0, nothing(8)), region(gm, 1, conv(8, 8)), region(gm, 2, conv(8, 12, 2)))
    assert len(run_pass(ReplaceRegions(regions), gm).rewrites) == 3
    assert outputs(gm, [X])[0].shape == (2, 5)


def test_the_order_in_which_regions_are_named_does_not_matter() -> None:
    one, other = network(), network()
    graphs = [conv(8, 8), conv(8, 8), conv(8, 12, 2)]
    run_pass(ReplaceRegions(tuple(region(one, k, graphs[k]) for k in (0, 1, 2))), one)
    run_pass(ReplaceRegions(tuple(region(other, k, graphs[k]) for k in (2, 0, 1))), other)
    torch.testing.assert_close(outputs(one, [X])[0], outputs(other, [X])[0], rtol=0, atol=0)


def test_an_identity_leaves_nothing_behind() -> None:
    gm = network()
    before = sum(n.op == "call_function" for n in gm.graph.nodes)
    run_pass(ReplaceRegions((region(gm, 1, nothing(8)),)), gm)
    assert sum(n.op == "call_function" for n in gm.graph.nodes) == before - 7
    assert not [name for name, _ in g.constants(gm) if name.startswith("stages.0.1.")]


def test_a_second_run_changes_nothing() -> None:
    gm = network()
    p = ReplaceRegions((region(gm, 0, conv(8, 8)),))
    assert run_pass(p, gm)
    again = run_pass(p, gm)
    assert not again.rewrites and not again.rejects


def test_provenance_of_both_is_kept() -> None:
    gm = network()
    kept = {n.name: g.sources(n) for n in gm.graph.nodes if not g.module_path(n).startswith("stages.0.0")}
    run_pass(ReplaceRegions((region(gm, 0, conv(8, 8)),)), gm)
    for node in gm.graph.nodes:
        if node.op == "call_function" and node.name in kept:
            assert g.sources(node) == kept[node.name]
    new = [n for n in gm.graph.nodes if n.op == "call_function" and g.module_path(n).startswith("stages.0.0.new")]
    assert [g.module_path(n) for n in new] == [f"stages.0.0.new.{k}" for k in range(3)]
    assert {"stages.0.0.conv1", "stages.0.0.conv2", "stages.0.0.bn2"} <= set(g.sources(new[-1]))


def test_nothing_handed_in_is_the_network_bit_for_bit() -> None:
    gm, untouched = network(), network()
    assert not run_pass(ReplaceRegions(), gm)
    ours = compile(captured_graph(gm), verify=False).onnx
    theirs = compile(captured_graph(untouched), verify=False).onnx
    assert ours.SerializeToString() == theirs.SerializeToString()


def test_constants_take_new_values() -> None:
    gm = network()
    bias = torch.arange(5.0)
    run_pass(ReplaceRegions(constants={"fc.bias": bias}), gm)
    before, after = outputs(network(), [X])[0], outputs(gm, [X])[0]
    old = dict(g.constants(network()))["fc.bias"]
    torch.testing.assert_close(after - before, (bias - old).expand(2, 5), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"begin": "nowhere"}, "there is no 'nowhere'"),
        ({"graph": conv(8, 12, 2)}, "must turn"),
        ({"graph": conv(4, 8)}, "must turn"),
    ],
)
def test_leaves_alone(change: dict[str, object], reason: str) -> None:
    gm = network()
    fine = region(gm, 0, conv(8, 8))
    wrong = Region(**{**vars(fine), **change})  # type: ignore[arg-type]
    before = outputs(gm, [X])[0]
    result = run_pass(ReplaceRegions((wrong,)), gm)
    assert not result.rewrites
    assert [reject for reject in result.rejects if reason in reject.reason]
    torch.testing.assert_close(outputs(gm, [X])[0], before, rtol=0, atol=0)


def test_regions_that_others_read_from_are_left_alone() -> None:
    gm = ir(randomised(Branching()), X)
    names = {g.module_path(n): n.name for n in gm.graph.nodes if n.op == "call_function"}
    inside = Region("inside", names["stem"], names["second"], conv(8, 8))
    (reject,) = run_pass(ReplaceRegions((inside,)), gm).rejects
    assert "one tensor in and one out" in reject.reason


def test_a_region_that_ends_before_it_begins_is_left_alone() -> None:
    gm = network()
    place = find_places(gm)[0]
    (reject,) = run_pass(ReplaceRegions((Region("back", place.end, place.begin, conv(8, 8)),)), gm).rejects
    assert "behind its beginning" in reject.reason


def test_is_a_pass_like_others() -> None:
    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x)  # type: ignore[no-any-return]

    check_pass(ReplaceRegions(), randomised(Tiny()), X, rewrites=0)


def test_a_range_of_modules_gives_its_constants_a_path() -> None:
    """Regions may be called after the first and last of several modules, or of values."""
    gm, place = network(), find_places(network())[0]
    run_pass(ReplaceRegions((Region("stages.0..stages.1.new", place.begin, place.end, conv(8, 8)),)), gm)
    assert any(name.startswith("stages.0.stages.1.new.") for name, _ in g.constants(gm))
    assert outputs(gm, [X])[0].shape == (2, 5)
