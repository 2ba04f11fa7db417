"""PruneChannelBypass: masked and bypassed channels become slices and concatenations, or nothing, as built by hand."""

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn
from torch.nn import functional as F

from kit import check_pass, ir, operators, outputs, randomised, relative_error
from masked_networks import FORMS, Block, Layer, Masked, Spec, drawn, pair
from nascc.compiler import compile
from nascc.passes import (
    PASSES,
    EvaluateConstants,
    ExtractSuperkernel,
    FoldBatchNorm,
    PruneChannelBypass,
    check_graph,
    default_pipeline,
    run_pass,
    run_pipeline,
)
from nascc.passes import graph as g
from nascc.passes.channels.trial import cost
from random_modules import Call
from structured_zeros import drawn as drawn_zeros

aten = torch.ops.aten
RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck))
X = torch.randn(2, 4, 9, 9, generator=torch.Generator().manual_seed(0))
LAYERS = (aten.convolution.default, aten.linear.default)
FIRST = Block((Layer(8, 8, 0),))


def shapes(gm: fx.GraphModule) -> list[tuple[int, ...]]:
    """Shapes of the weights of all layers, sorted."""
    return sorted(tuple(map(int, g.shape(n.args[1]))) for n in gm.graph.nodes if g.is_call(n, *LAYERS))


def moves(gm: fx.GraphModule) -> int:
    """How many calls only move channels."""
    count = operators(gm)
    names = ("aten.cat.default", "aten.slice.Tensor", "aten.constant_pad_nd.default", "aten.index_select.default")
    return sum(count[name] for name in names)


def pruned(model: nn.Module, x: Tensor = X, dynamic: object = None) -> fx.GraphModule:
    """The graph after the pass, with the same outputs for the batch and for one of another size where that is open."""
    gm = ir(model, x, dynamic=dynamic)
    before = g.copy_graph(gm)
    run_pass(PruneChannelBypass(), gm)
    check_graph(gm)
    for batch in (torch.cat([x, -3 * x, x]),) if dynamic else (x,):
        assert relative_error(outputs(before, [batch]), outputs(gm, [batch])) <= 1e-10
    assert not run_pass(PruneChannelBypass(), gm).rewrites
    return gm


def check_pair(seed: int, *, dynamic: bool = False) -> None:
    """What is left of a masked network has the outputs and layers of the one built by hand, and no more calls."""
    masked, sliced, x = pair(drawn(seed))
    gm = pruned(masked, x, ({0: torch.export.Dim("N")},) if dynamic else None)
    by_hand = ir(sliced, x)
    assert relative_error(outputs(by_hand, [x]), outputs(gm, [x])) <= 1e-10
    assert shapes(gm) == shapes(by_hand)
    assert moves(gm) <= moves(by_hand)
    assert sum(operators(gm).values()) <= sum(operators(by_hand).values())


@pytest.mark.parametrize("seed", [28, 32, 55, 87, 93, 99, 104, 172])
def test_random_masked_networks(seed: int) -> None:
    check_pair(seed, dynamic=seed % 2 == 1)


@pytest.mark.slow
@settings(RELAXED, max_examples=400)
@given(st.integers(0, 10**9), st.booleans())
def test_many_random_masked_networks(seed: int, dynamic: bool) -> None:
    check_pair(seed, dynamic=dynamic)


@pytest.mark.slow
@settings(RELAXED, max_examples=400)
@given(st.integers(0, 10**9))
def test_many_networks_with_zeros_get_no_dearer(seed: int) -> None:
    model, x = drawn_zeros(seed)
    gm = ir(model, x)
    run_pass(EvaluateConstants(), gm)
    before = g.copy_graph(gm)
    run_pass(PruneChannelBypass(), gm)
    check_graph(gm)
    assert relative_error(outputs(before, [x]), outputs(gm, [x])) <= 1e-10
    assert cost(gm)[0] < cost(before)[0] or cost(gm) <= cost(before)
    assert not run_pass(PruneChannelBypass(), gm).rewrites


def check_spec(*blocks: Block, head: int = 0) -> fx.GraphModule:
    """The masked network becomes the one built by hand, operator by operator; returns its graph."""
    masked, sliced, x = pair(Spec(blocks, head=head))
    gm, by_hand = pruned(masked, x), ir(sliced, x)
    assert relative_error(outputs(by_hand, [x]), outputs(gm, [x])) <= 1e-10
    assert (operators(gm), shapes(gm)) == (operators(by_hand), shapes(by_hand))
    return gm


def count(gm: fx.GraphModule, *names: str) -> tuple[int, ...]:
    """How often operators are called."""
    found = operators(gm)
    return tuple(found[f"aten.{name}"] for name in names)


MOVES = ("cat.default", "slice.Tensor", "constant_pad_nd.default")


@pytest.mark.parametrize("form", FORMS)
def test_own_filters_beside_bypassed_channels_and_a_layer_without_filters(form: str) -> None:
    """One concatenation with one slice for the first layer, nothing for the second."""
    gm = check_spec(FIRST, Block((Layer(8, 3, 6, form=form), Layer(8, 0, 99, form=form))))
    assert count(gm, *MOVES) == (1, 1, 0)
    assert count(gm, "mul.Tensor", "add.Tensor", "convolution.default") == (0, 0, 3)


def test_a_strided_layer_without_filters_is_a_strided_slice() -> None:
    gm = check_spec(FIRST, Block((Layer(8, 0, 99, stride=2),)))
    assert count(gm, *MOVES) == (0, 2, 0)  # a slice for each dimension of the image
    assert count(gm, "convolution.default") == (2,)


def test_a_strided_layer_without_filters_takes_what_the_budget_lets_by() -> None:
    """Then the layer before it computes no more than that."""
    gm = pruned(pair(Spec((FIRST, Block((Layer(8, 0, 6, stride=2),)))))[0])
    assert shapes(gm) == [(3, 6, 1, 1), (6, 4, 3, 3)]
    assert count(gm, *MOVES) == (0, 2, 0)


@pytest.mark.parametrize(("kept", "budget"), [(6, 6), (6, 4), (8, 99), (1, 0)])
def test_no_concatenation_where_the_filters_cover_the_budget(kept: int, budget: int) -> None:
    assert not moves(check_spec(FIRST, Block((Layer(8, kept, budget),))))


def test_all_that_may_go_by_is_one_slice() -> None:
    """b = C: what is not replaced goes by whole."""
    assert count(check_spec(FIRST, Block((Layer(8, 2, 8),))), *MOVES) == (1, 1, 0)


def test_bypasses_of_bypasses_come_straight_from_their_source() -> None:
    layers = [Layer(8, kept, 99) for kept in (2, 4, 6)]
    gm = pruned(pair(Spec((FIRST, *(Block((layer,)) for layer in layers))))[0])
    (cut,) = (n for n in gm.graph.nodes if g.is_call(n, aten.slice.Tensor) and n.args[2:4] == (6, 8))
    assert g.is_call(cut.args[0], aten.relu.default) and g.module_path(cut.args[0]).startswith("blocks.0")
    assert count(gm, *MOVES) == (3, 3, 0)
    gm = check_spec(FIRST, *(Block((replace(layer, kept=0),)) for layer in layers), Block((layers[0],)))
    assert count(gm, *MOVES) == (1, 1, 0)


@pytest.mark.parametrize("full", [4, 12])
def test_a_sum_of_unequal_widths(full: int) -> None:
    """The narrower side is padded; what is zero on both sides is not computed."""
    gm = check_spec(FIRST, Block((Layer(8, 4, 0), Layer(2 * full, full, 0)), residual=True))
    assert count(gm, "add.Tensor", *MOVES) == (1, 0, 0, 1)
    assert (3, max(8, full), 1, 1) in shapes(gm)


def test_a_removed_branch_vanishes_with_its_sum() -> None:
    gm = check_spec(FIRST, Block((Layer(8, 4, 8), Layer(8, 4, 8)), residual=True, removed=True))
    assert count(gm, "add.Tensor", "mul.Tensor", "convolution.default") == (0, 0, 2)


def test_squeeze_and_excitation_sees_bypassed_channels_of_a_depthwise_layer() -> None:
    block = Block((Layer(16, 8, 8, 1), Layer(0, 4, None, 5, depthwise=True), Layer(8, 4, 4, 1)), gate=3)
    gm = check_spec(FIRST, block)
    assert {(3, 8, 1, 1), (8, 3, 1, 1), (4, 1, 5, 5), (4, 8, 1, 1)} <= set(shapes(gm))
    assert count(gm, "mean.dim", "cat.default") == (1, 1)


def test_depthwise_filters_are_those_of_inputs_that_are_left() -> None:
    gm = check_spec(FIRST, Block((Layer(8, 3, 0, 1), Layer(0, 8, None, depthwise=True), Layer(8, 8, 0, 1))))
    assert (3, 1, 3, 3) in shapes(gm) and not moves(gm)


def test_a_linear_layer_reads_a_bypass() -> None:
    assert (5, 6) in shapes(check_spec(FIRST, Block((Layer(8, 3, 6),)), head=5))


@pytest.mark.parametrize(
    ("full", "budget", "wanted"),
    [(4, 4, [4, 4, 4, 4, 4]), (6, 4, [4, 4, 4, 4, 4, 5, 6]), (2, 2, [2, 2, 2]), (4, 2, [2, 2, 2, 3, 4])],
)
def test_the_cases_of_the_figure(full: int, budget: int, wanted: list[int]) -> None:
    """NetAdaptV2, figure 4: Z = max(min(C, T), M) channels come out of a layer with C = 4 inputs."""
    for kept, count in enumerate(wanted):
        masked, _, x = pair(Spec((Block((Layer(4, 4, 0),)), Block((Layer(full, kept, budget),)))))
        gm = ir(masked, x)
        run_pass(PruneChannelBypass(), gm)
        assert (3, count, 1, 1) in shapes(gm), f"{kept} of {full} filters"
        assert kept == 0 or any(s[0] == kept for s in shapes(gm))


class Reads(nn.Module):
    """A convolution with masked filters, its input beside them, and a function of all three."""

    def __init__(self, function: object, kept: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.first, self.conv = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3, stride, 1)
        self.a, self.b = nn.Conv2d(8, 3, 1), nn.Conv2d(8, 2, 3)
        self.register_buffer("mask", (torch.arange(8) < kept).float().reshape(1, -1, 1, 1))
        self.function = function

    def forward(self, x: Tensor) -> object:
        x = self.first(x)
        return self.function(self, x, F.relu(self.conv(x)), self.mask)  # type: ignore[operator]


def mixed(y: Tensor, x: Tensor, m: Tensor) -> Tensor:
    return y * m + x * (1 - m)


def test_several_readers_share_one_concatenation() -> None:
    def both(self: Reads, x: Tensor, y: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        z = mixed(y, x, m)
        return self.a(z), self.b(z)

    gm = pruned(randomised(Reads(both)))
    assert shapes(gm) == [(2, 8, 3, 3), (3, 8, 1, 1), (3, 8, 3, 3), (8, 4, 1, 1)]
    assert (operators(gm)["aten.cat.default"], operators(gm)["aten.slice.Tensor"]) == (1, 1)


def test_readers_that_need_different_channels_do_not_bind_each_other() -> None:
    """A depthwise layer reads three channels of a value all of which are bypassed."""

    class Depthwise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.conv, self.last = (
                nn.Conv2d(4, 8, 1),
                nn.Conv2d(8, 8, 3, 1, 1, groups=8),
                nn.Conv2d(8, 3, 1),
            )

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return self.last(torch.cat([F.relu(self.conv(x))[:, :3], x[:, 3:]], 1)) + self.last(x)

    gm = pruned(randomised(Depthwise()))
    assert (3, 1, 3, 3) in shapes(gm)


def test_outputs_of_the_graph_keep_their_channels() -> None:
    gm = pruned(randomised(Reads(lambda self, x, y, m: (y * m, self.a(y * m)))))
    assert (3, 8, 3, 3) in shapes(gm) and operators(gm)["aten.constant_pad_nd.default"] == 1


def test_a_mask_of_any_channels() -> None:
    """What is left of each value is gathered by index; with one value and zeros nothing is."""
    wide = torch.tensor([1.0, 0] * 8).reshape(1, -1, 1, 1)

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.conv, self.last = nn.Conv2d(4, 16, 1), nn.Conv2d(16, 16, 3, 1, 1), nn.Conv2d(16, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return self.last(torch.where(wide > 0, F.relu(self.conv(x)), x)) + self.last(F.relu(self.conv(x)) * wide)

    gm = pruned(randomised(Wide()))
    assert (8, 16, 3, 3) in shapes(gm) and (3, 8, 1, 1) in shapes(gm)
    assert operators(gm)["aten.index_select.default"] == 2


def test_parts_of_one_value_in_order_are_the_value() -> None:
    def parts(self: Reads, x: Tensor, y: Tensor, m: Tensor) -> Tensor:
        return self.a(torch.cat([y[:, :3], y[:, 3:5], y[:, 5:]], 1)) + self.a(
            torch.cat([y[:, 2:4], y[:, 4:], x[:, :2]], 1)
        )

    assert count(pruned(randomised(Reads(parts))), *MOVES) == (1, 2, 0)


def test_concatenations_of_concatenations_are_one() -> None:
    def nested(self: Reads, x: Tensor, y: Tensor, m: Tensor) -> Tensor:
        return torch.cat([torch.cat([x, y.sigmoid()], 1), torch.cat([y, x.tanh()], 1)], 1).mean((2, 3))

    assert operators(pruned(randomised(Reads(nested))))["aten.cat.default"] == 1


def test_zeros_of_any_kind_are_no_channels() -> None:
    def filled(self: Reads, x: Tensor, y: Tensor, m: Tensor) -> Tensor:
        n, _, h, w = y.shape
        zeros = y.new_zeros(n, 2, h, w)
        one = torch.cat([y[:, :3], zeros, torch.zeros_like(y[:, :3])], 1)
        return self.a(one) + self.a(torch.cat([torch.full((n, 4, h, w), 0.0), x[:, :4] * 0 + y[:, 4:]], 1))

    for dynamic in (None, ({0: torch.export.Dim("N")},)):
        gm = pruned(randomised(Reads(filled)), dynamic=dynamic)
        assert shapes(gm)[:2] == [(3, 3, 1, 1), (3, 4, 1, 1)]
        assert not set(operators(gm)) & {"aten.zeros_like.default", "aten.new_zeros.default", "aten.full.default"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool])
def test_masks_of_any_type(dtype: torch.dtype) -> None:
    mask = (torch.arange(8) < 3).to(dtype).reshape(1, -1, 1, 1)
    other = ~mask if dtype is torch.bool else 1 - mask
    gm = pruned(randomised(Reads(lambda self, x, y, m: self.a((y * mask + x * other).float()))))
    assert (3, 8, 3, 3) in shapes(gm) and operators(gm)["aten.cat.default"] == 1


LEFT_ALONE = {
    "half lets by": lambda self, x, y, m: self.a(y * (m * 0.5 + 0.25) + x * (0.75 - m * 0.5)),
    "both sides": lambda self, x, y, m: self.a(y * (m + 1) + x),
    "depends on the input": lambda self, x, y, m: self.a(torch.where(x.mean((2, 3), keepdim=True) > 0, y, x)),
    "depends on the place": lambda self, x, y, m: self.a(torch.where(torch.arange(9) < 3, y, x)),
    "is no zero": lambda self, x, y, m: self.a(y.masked_fill(m == 0, 0.5) * x),
    "no mask": lambda self, x, y, m: self.a(y + x),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_leaves_alone(name: str) -> None:
    model = randomised(Reads(LEFT_ALONE[name]))
    check_pass(EvaluateConstants(), model, X)
    gm = ir(model, X)
    run_pass(EvaluateConstants(), gm)
    before = operators(gm)
    assert not run_pass(PruneChannelBypass(), gm)
    assert operators(gm) == before


REFUSED = {
    "all is needed elsewhere": lambda self, x, y, m: (self.a(torch.where(m > 0, y, x)), y),
    "no layer made it": lambda self, x, y, m: torch.where(m > 0, x, x.exp()) + y + x.exp(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_where_nothing_is_gained(name: str) -> None:
    model = randomised(Reads(REFUSED[name]))
    gm = ir(model, X)
    run_pass(EvaluateConstants(), gm)
    before = operators(gm)
    result = run_pass(PruneChannelBypass(), gm)
    assert [r.reason for r in result.rejects] == [
        "is made of 2 pieces of other values, but taking it apart lets no layer shrink and no call vanish"
    ]
    assert not result and operators(gm) == before


def test_one_value_is_refused_and_another_is_not() -> None:
    def both(self: Reads, x: Tensor, y: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        other = x.tanh()
        return self.a(mixed(y, x, m)), torch.where(m > 0, x, other).mean((2, 3)) + other.mean((2, 3)) + x.mean((2, 3))

    gm = ir(randomised(Reads(both)), X)
    result = run_pass(PruneChannelBypass(), gm)
    assert len(result.rejects) == 1 and count(gm, "where.self", "cat.default") == (1, 1)
    assert (3, 8, 3, 3) in shapes(gm)


def test_a_copy_of_another_type_is_none() -> None:
    """A half-precision value times a mask in single precision is single precision."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 8, 3).half()
            self.register_buffer("mask", (torch.arange(8) < 3).float().reshape(1, -1, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return (self.conv(x) * self.mask).exp()

    gm = ir(randomised(Mixed()), X.half())
    run_pass(EvaluateConstants(), gm)
    run_pass(PruneChannelBypass(), gm)
    (output,) = next(iter(gm.graph.find_nodes(op="output"))).args[0]
    assert g.dtype(output.args[0]) is torch.float32 and g.is_call(output.args[0], aten.mul.Tensor)


def test_works_on_folded_batch_norms_and_in_the_default_pipeline() -> None:
    masked, sliced, x = pair(drawn(32))
    gm, by_hand = ir(masked, x), ir(sliced, x)
    for graph in (gm, by_hand):
        run_pass(FoldBatchNorm(), graph)
    run_pass(PruneChannelBypass(), gm)
    assert shapes(gm) == shapes(by_hand)
    gm, by_hand = ir(masked, x), ir(sliced, x)
    for graph in (gm, by_hand):
        run_pipeline(default_pipeline(PASSES), graph)
    assert relative_error(outputs(by_hand, [x]), outputs(gm, [x])) <= 1e-10
    assert shapes(gm) == shapes(by_hand)


def test_superkernels_are_extracted_as_well() -> None:
    masked, _, x = pair(Spec((FIRST, Block((Layer(8, 3, 6, 5),)))))
    with torch.no_grad():
        masked.blocks[1].layers[0].weights.conv.weight[:, :, [0, 4]] = 0
        masked.blocks[1].layers[0].weights.conv.weight[:, :, :, [0, 4]] = 0
    assert (3, 8, 3, 3) in shapes(pruned(masked, x))
    gm = pruned(masked, x)
    assert not run_pass(ExtractSuperkernel(), gm)


@pytest.mark.parametrize("seed", [99, 172])
def test_what_is_left_runs_in_onnxruntime(seed: int) -> None:
    masked, _, x = pair(drawn(seed))
    compiled = compile(masked, x)
    assert compiled.report.verification == "done" and all(v.ok for pair in compiled.report.verify for v in pair.outputs)


def test_says_what_becomes_of_what() -> None:
    masked, _, x = pair(Spec((FIRST, Block((Layer(8, 3, 6),)))))
    told = [d.text for d in check_pass(PruneChannelBypass(), masked, x).decisions]
    assert "channels are blocks.1.layers.0[0:3], blocks.0.layers.0[3:6], 2 zeros" in told
    assert "weight 8x8x3x3 -> 3x8x3x3" in told


def test_a_network_without_masks_is_not_looked_at() -> None:
    model = randomised(nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 3, 1)))
    assert PruneChannelBypass().plan(ir(model, X)) is None
    check_pass(PruneChannelBypass(), Masked(Spec((FIRST,))), X, rewrites=None)
    check_pass(PruneChannelBypass(), Call(lambda x: x[:, :2] * 2, "part"), X, rewrites=0)
