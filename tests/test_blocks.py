"""Blocks of networks: where the data all pass, which parts are worth replacing, and what is refused with a reason."""

from collections import OrderedDict
from types import ModuleType

import pytest
import torch
from torch import Tensor, fx, nn

from kit import ir, outputs, randomised
from nascc.passes import PassError, demote, run_pipeline
from nascc.passes import graph as g
from nascc.passes.blocks import (
    Flow,
    Span,
    extract,
    find_places,
    loosened,
    named_spans,
    new_head,
    rebatched,
)

X = torch.randn(7, 3, 16, 16, generator=torch.Generator().manual_seed(0))


class Residual(nn.Module):
    """A block with a shortcut."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out)
        self.conv2, self.bn2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False), nn.BatchNorm2d(c_out)
        plain = stride == 1 and c_in == c_out
        self.short = None if plain else nn.Conv2d(c_in, c_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (x if self.short is None else self.short(x)))


class Stages(nn.Module):
    """A stem, two stages of residual blocks, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.stages = nn.Sequential(
            nn.Sequential(Residual(8, 8), Residual(8, 8)), nn.Sequential(Residual(8, 12, 2), Residual(12, 12))
        )
        self.fc = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.stages(self.stem(x)).mean((2, 3)))  # type: ignore[no-any-return]


class Plain(nn.Module):
    """Convolutions without modules to go by, pooling between."""

    def __init__(self, depth: int = 5) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        for _ in range(depth):
            layers += [nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
        self.features = nn.Sequential(*layers, nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
        self.fc = nn.Linear(8 * 16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.features(x).flatten(1))  # type: ignore[no-any-return]


class Branching(nn.Module):
    """`second` reads what `first` gives, and so does what comes after."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.first, self.second = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
        self.third = Joining()

    def forward(self, x: Tensor) -> Tensor:
        a = torch.relu(self.first(self.stem(x)))
        b = torch.relu(self.second(a))
        return self.third(a, b).mean((2, 3))  # type: ignore[no-any-return]


class Joining(nn.Module):
    """A module of two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(16, 8, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.conv(torch.cat([a, b], 1))  # type: ignore[no-any-return]


class Twice(nn.Module):
    """One module that runs twice, with another in between."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block = nn.Conv2d(3, 8, 1), Residual(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(torch.sigmoid(self.block(self.stem(x)))).mean((2, 3))  # type: ignore[no-any-return]


def graph(module: nn.Module, x: Tensor = X) -> fx.GraphModule:
    return ir(randomised(module), x)


def chained(gm: fx.GraphModule, x: Tensor) -> Tensor:
    """What the parts of a network compute one after another."""
    flow = Flow.of(gm)
    for atom in flow.atoms(Span(0, len(flow.nodes) - 1)):
        x = demote(extract(flow, atom))(x)
    return x


def test_cuts_are_the_values_that_everything_passes_through() -> None:
    flow = Flow.of(graph(Branching()))
    names = {g.module_path(flow.node(k)) for k in flow.cuts if k >= 0}
    assert "first" not in names or "second" not in names
    first = next(k for k, n in enumerate(flow.nodes) if g.module_path(n) == "first")
    assert first in flow.cuts and first + 1 in flow.cuts  # the convolution, and its relu, which both readers share
    second = next(k for k, n in enumerate(flow.nodes) if g.module_path(n) == "second")
    assert second not in flow.cuts and second + 1 not in flow.cuts


def test_residual_blocks_are_found_below_their_stages() -> None:
    places = find_places(graph(Stages()))
    assert [place.name for place in places] == ["stages.0.0", "stages.0.1", "stages.1.0", "stages.1.1"]
    assert [place.stride for place in places] == [1, 1, 2, 1]
    assert [place.keeps_shape for place in places] == [True, True, False, True]
    assert places[2].shape == (8, 16, 16) and places[2].out_shape == (12, 8, 8)


def test_chains_without_modules_are_divided_into_pairs_between_poolings() -> None:
    places = find_places(graph(Plain()))
    assert [place.shape[1:] for place in places] == [(8, 8)] * 3 + [(4, 4)]
    flow = Flow.of(graph(Plain()))
    convolutions = [sum("convolution" in str(n.target) for n in flow.calls(place.span)) for place in places]
    assert convolutions == [2, 2, 1, 1]


def test_blocks_are_found_without_any_module_paths() -> None:
    gm = graph(Stages())
    for node in gm.graph.nodes:
        node.meta.pop("nn_module_stack", None)
    places = find_places(gm)
    assert [(p.shape, p.out_shape) for p in places] == [(p.shape, p.out_shape) for p in find_places(graph(Stages()))]


@pytest.mark.parametrize("module", [Stages(), Plain(), Branching(), Twice()], ids=lambda m: type(m).__name__)
def test_the_parts_in_a_row_are_the_network_bit_for_bit(module: nn.Module) -> None:
    gm = graph(module)
    with torch.no_grad():
        assert torch.equal(chained(gm, X), demote(gm)(X))


@pytest.mark.parametrize("module", [Stages(), Plain()], ids=lambda m: type(m).__name__)
def test_a_loosened_graph_takes_any_number_of_images(module: nn.Module) -> None:
    gm = graph(module)
    with torch.no_grad():
        whole, free = demote(gm)(X), demote(loosened(gm))
        torch.testing.assert_close(free(X[:3]), whole[:3], rtol=1e-5, atol=1e-6)
        assert torch.equal(free(X), whole)


def test_a_rebatched_graph_knows_every_shape() -> None:
    gm = rebatched(loosened(graph(Plain())), (4, 3, 16, 16))
    g.check_graph(gm)
    assert all(g.static_shape(node) for node in gm.graph.nodes if isinstance(node.meta.get("val"), Tensor))
    (output,) = gm.graph.find_nodes(op="output")
    assert g.shape(output.args[0][0]) == (4, 4)
    assert outputs(gm, [X[:4]])[0].shape == (4, 4)
    run_pipeline((), gm)


def test_open_sizes_become_numbers() -> None:
    batch = torch.export.Dim("N", min=2)
    gm = ir(randomised(Reshaping()), X, dynamic=({0: batch},))
    assert any("sym_size" in str(n.target) for n in gm.graph.nodes)
    fixed = rebatched(gm, (5, 3, 16, 16))
    assert not any("sym_size" in str(n.target) for n in fixed.graph.nodes)
    torch.testing.assert_close(outputs(fixed, [X[:5]])[0], outputs(gm, [X[:5]])[0], rtol=0, atol=0)


class Reshaping(nn.Module):
    """A view that names the number of images."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3, 4), nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.conv(x).reshape(x.shape[0], 64)) + x.new_ones(x.shape[0], 3)  # type: ignore[no-any-return]


def test_users_name_blocks_by_their_modules() -> None:
    gm = graph(Stages())
    assert [p.name for p in named_spans(gm, ["stages.1.*", "stages.0"])] == ["stages.0", "stages.1.0", "stages.1.1"]
    (run,) = named_spans(gm, ["stages.0.1..stages.1.0"])
    assert run.shape == (8, 16, 16) and run.out_shape == (12, 8, 8)


@pytest.mark.parametrize(
    ("module", "patterns", "reason"),
    [
        (Stages(), ["stage.0"], "names no module of the network; near: stages"),
        (Stages(), ["stages.0", "stages.0.1"], "must not overlap"),
        (Stages(), ["stem"], "reads the images themselves"),
        (Stages(), ["fc"], "must turn maps"),
        (Branching(), ["second"], "1 tensors in and 1 out"),
        (Branching(), ["third"], "2 tensors in and 1 out"),
        (Stages(), ["stages.1..stages.0"], "second module stands first"),
    ],
)
def test_what_can_be_no_block_is_refused_with_the_reason(module: nn.Module, patterns: list[str], reason: str) -> None:
    with pytest.raises(PassError, match=reason):
        named_spans(graph(module), patterns)


def test_a_module_that_runs_twice_is_two_blocks() -> None:
    assert [place.name for place in named_spans(graph(Twice()), ["block"])] == ["block", "block@1"]
    assert [place.name for place in find_places(graph(Twice()))] == ["block", "block@1"]


def test_networks_with_several_inputs_or_outputs_are_refused() -> None:
    class TwoInputs(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a + b

    with pytest.raises(PassError, match="one input and one output"):
        find_places(ir(TwoInputs(), X, X))


def test_a_new_head_tells_other_classes() -> None:
    gm = graph(Stages())
    changed = new_head(gm, 3)
    g.check_graph(changed)
    assert outputs(changed, [X])[0].shape == (7, 3)
    assert outputs(gm, [X])[0].shape == (7, 5)
    convolutional = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 6, 1), nn.Flatten())
    assert outputs(new_head(graph(convolutional), 4), [X])[0].shape == (7, 4)


def test_a_network_without_a_last_linear_layer_gets_no_head() -> None:
    softened = nn.Sequential(OrderedDict(fc=nn.Linear(16, 4), soft=nn.Softmax(-1)))
    with pytest.raises(PassError, match="must end in a linear layer"):
        new_head(ir(softened, torch.randn(7, 16)), 3)


TIMM = {"resnet18": 8, "regnety_002": 13, "mobilenetv3_small_100": 11, "convnext_atto": 12, "ghostnet_100": 16}
"""Families of timm, and how many blocks each has."""


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
def test_blocks_of_timm(name: str, vision: tuple[ModuleType, ModuleType]) -> None:
    module = vision[0].create_model(name, num_classes=10).eval()
    x = torch.randn(7, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    gm = loosened(ir(module, x))
    assert len(find_places(gm)) == TIMM[name]
    with torch.no_grad():
        assert torch.equal(chained(gm, x), module(x))


class Token(nn.Module):
    """Something learned stands in front of the positions of every image, and something made for the batch is added."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 8, 4, 4), nn.Linear(8, 5)
        self.token = nn.Parameter(torch.randn(1, 1, 8))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x).flatten(2).mT
        made = torch.ones(len(x), y.shape[1], dtype=x.dtype).cumsum(1)
        y = torch.cat([self.token.expand(len(x), -1, -1), y + made[:, :, None]], 1)
        return self.fc(y.square().mean(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("batch", [1, 7])
def test_constants_made_for_the_batch_follow_it(batch: int) -> None:
    whole, seven = graph(Token(), X[:batch]), graph(Token(), X)
    open_one = loosened(whole)
    expected = outputs(seven, [X])[0]
    for count in (1, 3, 7):
        torch.testing.assert_close(outputs(open_one, [X[:count]])[0], expected[:count], rtol=1e-12, atol=1e-12)
    again = rebatched(loosened(rebatched(open_one, (7, 3, 16, 16))), (3, 3, 16, 16))
    assert all(g.static_shape(n) is not None for n in again.graph.nodes if n.op == "call_function")
    torch.testing.assert_close(outputs(again, [X[:3]])[0], expected[:3], rtol=1e-12, atol=1e-12)
