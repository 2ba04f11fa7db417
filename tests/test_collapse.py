"""MergeBranches and CollapseLinear on whole graphs: every legal pattern becomes one, every other stays, exactly."""

from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from collapsible import APART, BORDER, COLLAPSE, MERGE, OPEN, Branches, bn, built, c_bn, conv, seq
from kit import check_pass, ir, operators, outputs, relative_error
from nascc.passes import (
    CollapseLinear,
    EliminateIdentities,
    EvaluateConstants,
    FoldBatchNorm,
    MergeBranches,
    run_pass,
    run_pipeline,
)
from nascc.passes import graph as g


def image(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def prepared(model: nn.Module, x: Tensor, **options: Any) -> fx.GraphModule:
    gm = ir(model, x, **options)
    run_pipeline((EvaluateConstants(), EliminateIdentities(), FoldBatchNorm()), gm)
    return gm


@pytest.mark.parametrize("name", MERGE)
def test_branches_become_one(name: str) -> None:
    make, shape, expected = MERGE[name]
    x = image(shape)
    gm = prepared(built(make), x)
    before = outputs(gm, [x])
    run_pass(MergeBranches(mode="always"), gm)
    assert relative_error(before, outputs(gm, [x])) <= 1e-10
    assert operators(gm) == expected


@pytest.mark.parametrize("name", COLLAPSE)
def test_chains_become_one(name: str) -> None:
    make, shape, expected = COLLAPSE[name]
    x = image(shape)
    gm = prepared(built(make), x)
    before = outputs(gm, [x])
    run_pass(CollapseLinear(mode="always"), gm)
    assert relative_error(before, outputs(gm, [x])) <= 1e-10
    assert operators(gm) == expected


@pytest.mark.parametrize("name", APART)
def test_what_is_not_exact_stays_apart(name: str) -> None:
    make, shape, reason = APART[name]
    gm = prepared(built(make), image(shape))
    before = operators(gm)
    result = run_pass(CollapseLinear(mode="auto" if "parameters" in reason else "always"), gm)
    assert operators(gm) == before
    told = [r.reason for r in result.rejects] + [d.text for d in result.decisions]
    assert reason in "; ".join(told)


@pytest.mark.parametrize("name", [name for name, (*_, reason) in APART.items() if reason == BORDER])
def test_where_the_border_forbids_it_that_is_a_reject(name: str) -> None:
    make, shape, reason = APART[name]
    result = run_pass(CollapseLinear(mode="always"), prepared(built(make), image(shape)))
    assert result.rejects and all(reason in reject.reason for reject in result.rejects)


def test_what_does_not_pay_is_no_reject() -> None:
    model = built(lambda: seq(conv(64, 8), conv(8, 64)))
    check_pass(CollapseLinear(), model, image((1, 64, 4, 4)), rewrites=0, rejects=[])


@pytest.mark.parametrize("name", [*MERGE, *COLLAPSE])
def test_every_mode_is_exact_and_settles(name: str) -> None:
    make, shape, _ = (MERGE | COLLAPSE)[name]
    model, x = built(make), image(shape)
    for p in (MergeBranches, CollapseLinear):
        for mode in ("auto", "always"):
            gm = prepared(model, x)
            before = outputs(gm, [x])
            run_pass(p(mode=mode), gm)
            assert relative_error(before, outputs(gm, [x])) <= 1e-10
            settled = operators(gm)
            assert not run_pass(p(mode=mode), gm) and operators(gm) == settled


@pytest.mark.parametrize("name", ["repvgg", "linear mbconv"])
def test_never_is_nothing(name: str) -> None:
    make, shape, _ = (MERGE | COLLAPSE)[name]
    gm = prepared(built(make), image(shape))
    before = operators(gm)
    for p in (MergeBranches(mode="never"), CollapseLinear(mode="never")):
        result = run_pass(p, gm)
        assert not result and not result.rejects and not result.decisions
    assert operators(gm) == before


@pytest.mark.parametrize("name", OPEN)
def test_images_of_any_size(name: str) -> None:
    make, convolutions = OPEN[name]
    even = "unshuffle" in name
    channels = 4
    sizes = {k: 2 * torch.export.Dim(f"h{k}", min=3) if even else torch.export.Dim(f"h{k}", min=6) for k in (2, 3)}
    gm = prepared(built(make), image((2, channels, 8, 10)), dynamic=(sizes,))
    before = g.copy_graph(gm)
    assert run_pass(CollapseLinear(mode="always"), gm)
    assert operators(gm)["aten.convolution.default"] == convolutions
    for size in [(8, 10), (6, 6), (14, 8), (12, 16)] + ([] if even else [(7, 9), (11, 8)]):
        x = image((2, channels, *size))
        assert relative_error(outputs(before, [x]), outputs(gm, [x])) <= 1e-10


@pytest.mark.parametrize("open_sizes", [{0: "N"}, {2: "H", 3: "W"}, {0: "N", 2: "H", 3: "W"}])
def test_open_sizes(open_sizes: dict[int, str]) -> None:
    model = built(lambda: seq(c_bn(4, 12, 1), c_bn(12, 12, 3, 1, groups=12), c_bn(12, 4, 1)))
    dims = {d: torch.export.Dim(n, min=3) if d else torch.export.Dim(n) for d, n in open_sizes.items()}
    gm = prepared(model, image((2, 4, 7, 8)), dynamic=(dims,))
    before = g.copy_graph(gm)
    assert run_pass(CollapseLinear(mode="always"), gm)
    assert operators(gm)["aten.convolution.default"] == 1
    batch, (h, w) = 5 if 0 in open_sizes else 2, (3, 12) if 2 in open_sizes else (7, 8)
    for shape in [(2, 4, 7, 8), (batch, 4, 7, 8), (batch, 4, h, w)]:
        x = image(shape)
        assert relative_error(outputs(before, [x]), outputs(gm, [x])) <= 1e-10


class UsedInside(nn.Module):
    """A value in the middle of a chain is also an output."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = conv(4, 8), conv(8, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.a(x)
        return self.b(y), y


class ReadTwice(nn.Module):
    """A value in the middle of a chain is read by something else."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = conv(4, 8), conv(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        return self.b(y) * torch.relu(y)


@pytest.mark.parametrize(
    ("make", "reason"), [(UsedInside, "is an output of the graph"), (ReadTwice, "'a' has 2 users, must have 1")]
)
def test_values_used_elsewhere_end_a_region(make: type[nn.Module], reason: str) -> None:
    model = built(make)
    p = CollapseLinear(mode="always")
    check_pass(p, model, image((2, 4, 7, 7)), expected=model, rewrites=0, rejects=[reason])


class Integers(nn.Module):
    """Linear layers on integers."""

    def forward(self, x: Tensor) -> Tensor:
        w = torch.arange(4).reshape(2, 2)
        return nn.functional.linear(nn.functional.linear(x, w), w)


def test_integers_are_refused() -> None:
    model, x = Integers(), torch.arange(6).reshape(3, 2)
    p, reason = CollapseLinear(mode="always"), "must compute with floating-point numbers, found torch.int64"
    check_pass(p, model, x, expected=model, rewrites=0, rejects=[reason, reason])


def test_integer_inputs_are_converted_first() -> None:
    model = built(lambda: seq(conv(3, 4, 3, padding=1), conv(4, 2, 1)))
    gm = ir(Converted(model), torch.arange(75).reshape(1, 3, 5, 5))
    assert run_pass(CollapseLinear(mode="always"), gm)
    assert operators(gm)["aten.convolution.default"] == 1


class Converted(nn.Module):
    """A network on integers that are converted first."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.float() / 255)


@pytest.mark.parametrize("shape", [(1, 1, 5, 5), (1, 1, 1, 1), (2, 1, 1, 3)])
def test_one_channel_and_one_pixel(shape: tuple[int, ...]) -> None:
    model = built(lambda: seq(conv(1, 1, 1), conv(1, 1, 3, padding=1), conv(1, 1, 1)))
    check_pass(CollapseLinear(mode="always"), model, image(shape))


def test_shared_weights_collapse_each_on_its_own() -> None:
    shared = conv(4, 4, 1)
    model = built(lambda: seq(shared, shared, nn.ReLU(), shared))
    check_pass(CollapseLinear(mode="always"), model, image((2, 4, 7, 7)), rewrites=1)


def test_the_cost_decides() -> None:
    narrow = built(lambda: seq(conv(64, 8), conv(8, 64)))
    wide = built(lambda: seq(conv(8, 64), conv(64, 8)))
    x, y = image((1, 64, 4, 4)), image((1, 8, 4, 4))
    check_pass(CollapseLinear(), narrow, x, expected=narrow, rewrites=0)
    check_pass(CollapseLinear(), wide, y, rewrites=1)
    check_pass(CollapseLinear(cost=lambda ops: float(len(ops))), narrow, x, rewrites=1)


def test_a_collapsed_convolution_names_all_it_stands_for() -> None:
    x = image((2, 4, 7, 7))
    gm = prepared(built(lambda: seq(c_bn(4, 12, 1), c_bn(12, 4, 3))), x)
    run_pass(CollapseLinear(), gm)
    (node,) = [n for n in gm.graph.nodes if n.op == "call_function"]
    assert set(g.sources(node)) >= {"0.0", "0.1", "1.0", "1.1"}


def test_folding_is_the_same_bit_for_bit_under_any_number_of_threads() -> None:
    model = built(lambda: seq(c_bn(16, 96, 1), c_bn(96, 96, 3, 1, groups=96), c_bn(96, 16, 1)))
    weights, threads = [], torch.get_num_threads()
    try:
        for n in (1, 2, 4):
            torch.set_num_threads(n)
            gm = ir(model, image((1, 16, 9, 9)))
            run_pipeline((EvaluateConstants(), FoldBatchNorm(), MergeBranches(), CollapseLinear()), gm)
            weights.append([value for _, value in g.constants(gm)])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for other in weights[1:] for a, b in zip(weights[0], other, strict=True))


class OpenChannels(nn.Module):
    """Average pools over a number of channels that is left open."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(nn.functional.avg_pool2d(x, 2), 2)


def test_an_open_number_of_channels_is_left_alone() -> None:
    sizes = {1: torch.export.Dim("C")}
    check_pass(CollapseLinear(mode="always"), OpenChannels(), image((1, 4, 8, 8)), rewrites=0, dynamic=(sizes,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_narrow_models_collapse_in_float64(dtype: torch.dtype) -> None:
    model = built(lambda: seq(conv(4, 8, 1), conv(8, 4, 3))).to(dtype)
    gm = ir(model, image((1, 4, 6, 6)).to(dtype))
    before = outputs(gm, [image((1, 4, 6, 6)).to(dtype)])
    assert run_pass(CollapseLinear(), gm)
    assert relative_error(before, outputs(gm, [image((1, 4, 6, 6)).to(dtype)])) <= 1e-10
    assert all(g.dtype(n) is dtype for n in gm.graph.nodes if n.op == "call_function")


def test_kernels_larger_than_the_input_are_exact_or_left_alone() -> None:
    model = built(lambda: seq(conv(2, 4, 1), conv(4, 2, 7, padding=3), conv(2, 2, 1)))
    check_pass(CollapseLinear(mode="always"), model, image((1, 2, 3, 2)))


class Normalised(nn.Module):
    """A mean taken away before a padded convolution: the shift can not be folded, and stays as cheap as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x - torch.tensor([0.4, 0.5, 0.6]).reshape(1, 3, 1, 1))


@pytest.mark.parametrize("mode", ["auto", "always"])
def test_a_shift_before_a_padded_convolution_settles(mode: str) -> None:
    check_pass(CollapseLinear(mode=mode), built(Normalised), image((2, 3, 7, 7)))


@pytest.mark.parametrize("mode", ["auto", "always"])
@pytest.mark.parametrize("cost", [None, lambda ops: float(len(ops))])
def test_a_pad_before_a_convolution_settles(mode: str, cost: Any) -> None:
    model = built(lambda: seq(nn.ZeroPad2d((0, 1, 0, 1)), conv(4, 4, 3, stride=2), bn(4), nn.Hardswish()))
    options = {} if cost is None else {"cost": cost}
    check_pass(CollapseLinear(mode=mode, **options), model, image((1, 4, 8, 8)))


class Sequences(nn.Module):
    """Linear layers on sequences with a residual around them, then a mean over the channels that are not theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 9), nn.Linear(9, 6)

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.b(self.a(x))
        return y + y.mean(2, keepdim=True).expand(2, 5, 6) - self.b(self.a(y).mean(1, keepdim=True))


@pytest.mark.parametrize("mode", ["auto", "always"])
def test_channels_that_stand_last_do_not_mix_with_those_that_stand_first(mode: str) -> None:
    model = built(Sequences)
    check_pass(CollapseLinear(mode=mode), model, image((2, 5, 6)), rejects=["has 3 users"])
    check_pass(MergeBranches(mode=mode), model, image((2, 5, 6)))


def test_a_residual_around_linear_layers_on_sequences() -> None:
    model = built(lambda: Branches(seq(nn.Linear(6, 12), nn.Linear(12, 6)), nn.Identity()))
    gm = ir(model, image((2, 5, 6)))
    before = outputs(gm, [image((2, 5, 6))])
    run_pass(CollapseLinear(mode="always"), gm)
    assert operators(gm) == {"aten.linear.default": 1}
    assert relative_error(before, outputs(gm, [image((2, 5, 6))])) <= 1e-10


class AffineOnVectors(nn.Module):
    """Scales and shifts along the last axis, and what feeds them is no layer."""

    def forward(self, x: Tensor) -> Tensor:
        c = torch.linspace(0.5, 2, x.shape[-1])
        return (torch.tanh(x) * c + 1) * (c + 1) - c


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (2, 5, 6), (3, 6)])
@pytest.mark.parametrize("mode", ["auto", "always"])
def test_affine_maps_on_vectors(mode: str, shape: tuple[int, ...]) -> None:
    x = image(shape)
    gm = prepared(AffineOnVectors(), x)
    before = outputs(gm, [x])
    run_pass(CollapseLinear(mode=mode), gm)
    assert relative_error(before, outputs(gm, [x])) <= 1e-10
    assert not run_pass(CollapseLinear(mode=mode), gm)
