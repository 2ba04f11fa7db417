"""PruneChannelBypass: masked and bypassed channels become slices and concatenations, or nothing, as built by hand."""

from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import fx, nn

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
from pruned_networks import MOVES, X, count, moves, pruned, shapes
from random_modules import Call
from structured_zeros import drawn as drawn_zeros

aten = torch.ops.aten
RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck))
FIRST = Block((Layer(8, 8, 0),))


def check_pair(seed: int, *, dynamic: bool = False) -> None:
    """What is left of a masked network has the outputs and layers of the one built by hand, and no more calls."""
    masked, sliced, x = pair(drawn(seed))
    gm = pruned(masked, x, ({0: torch.export.Dim("N")},) if dynamic else None)
    by_hand = ir(sliced, x)
    assert relative_error(outputs(by_hand, [x]), outputs(gm, [x])) <= 1e-10
    assert shapes(gm) == shapes(by_hand)
    assert moves(gm) <= moves(by_hand)
    assert sum(operators(gm).values()) <= sum(operators(by_hand).values())


@pytest.mark.parametrize("seed", [28, 32, 55, 87, 93, 99, 104, 172, 2083, 9043])
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
    for kept, channels in enumerate(wanted):
        masked, _, x = pair(Spec((Block((Layer(4, 4, 0),)), Block((Layer(full, kept, budget),)))))
        gm = ir(masked, x)
        run_pass(PruneChannelBypass(), gm)
        assert (3, channels, 1, 1) in shapes(gm), f"{kept} of {full} filters"
        assert kept == 0 or any(s[0] == kept for s in shapes(gm))


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
