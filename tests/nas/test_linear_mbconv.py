"""Linear blocks: exactly one convolution, costed as what the compiler makes of them on each target."""

import random
from dataclasses import replace
from functools import cache
from itertools import product

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from kit import ir, operators, outputs, randomised, relative_error
from nascc.compiler.collapse_costs import collapse_cost, least_gain
from nascc.compiler.kernels_fx import graph_kernels
from nascc.nas.blocks.conv_norm import ConvNorm
from nascc.nas.blocks.linear_mbconv import LinearMBConv, constant_response
from nascc.nas.blocks.operators import as_linear, operator, with_squeeze_excite
from nascc.nas.core import Ctx
from nascc.nas.errors import SearchError
from nascc.nas.macro import load_macro
from nascc.nas.spaces import MacroSpace
from nascc.passes import (
    PASSES,
    CollapseLinear,
    MergeBranches,
    SubstituteOperators,
    default_pipeline,
    demote,
    run_pipeline,
)
from nascc.passes import graph as g
from nascc.runtime.kernels import condense
from nascc.runtime.latency import estimate
from nascc.runtime.profile import Target, load_target, target_names

KERNELS, EXPANSIONS, PADDINGS = (3, 5, 7), (3, 6), ("bias", "first")
SPACE = tuple(f"k{k}e{e}{kind}" for kind in ("", "l") for k in KERNELS for e in EXPANSIONS)
LIGHTNAS, TOY = (MacroSpace(load_macro(name), 10, operators=SPACE) for name in ("lightnas", "toy"))
ONE = {"aten.convolution.default": 1, "aten.hardtanh.default": 1}


def place(stride: int, size: int) -> Ctx:
    """With a residual where the stride allows it."""
    return Ctx((4, size, size), 4 if stride == 1 else 6, stride)


def block(name: str, ctx: Ctx, seed: int = 0) -> nn.Module:
    return randomised(operator(name).make(ctx), seed)


def rewritten(gm: fx.GraphModule, target: Target, mode: str) -> fx.GraphModule:
    """A copy after the passes that a compilation for the target runs."""
    graph, cost, gain = g.copy_graph(gm), collapse_cost("target", target), least_gain("target", target)
    passes = []
    for p in default_pipeline(PASSES):
        if isinstance(p, MergeBranches | CollapseLinear):
            p = replace(p, mode=mode, cost=cost)
        passes += [] if isinstance(p, SubstituteOperators) else [p]
    run_pipeline((replace(p, least_gain=gain) if isinstance(p, CollapseLinear) else p for p in passes), graph)
    return graph


@pytest.mark.parametrize(("stride", "size"), [(1, 8), (1, 9), (2, 8), (2, 9)])
def test_every_block_is_one_convolution_and_one_clip(stride: int, size: int) -> None:
    ctx, target = place(stride, size), load_target("nano")
    x = torch.randn(2, *ctx.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for (k, e), padding in zip(product(KERNELS, EXPANSIONS), PADDINGS * 3, strict=True):
        gm = ir(block(as_linear(f"k{k}e{e}l", padding, True), ctx, k + e), x[:1].float())
        one = rewritten(gm, target, "always")
        assert operators(one) == ONE, (k, e, padding)
        assert relative_error(outputs(gm, [x[:1]]), outputs(one, [x[:1]])) <= 1e-10
        never = rewritten(gm, target, "never")
        assert sum(count for name, count in operators(never).items() if "convolution" in name) == 3


def test_shifts_that_nearly_cancel_leave_no_border() -> None:
    """What a batch norm makes of zeros is then a small difference of large numbers, known to their rounding only."""
    ctx = Ctx((16, 7, 7), 16)
    module = block("k3e6l", ctx)
    norm = module.expand[1]
    with torch.no_grad():
        noise = 1 + 1e-5 * torch.randn(norm.num_features, generator=torch.Generator().manual_seed(2))
        norm.bias.copy_(noise * norm.running_mean * norm.weight / (norm.running_var + norm.eps).sqrt())
        norm.bias[0] += 1
    assert operators(rewritten(ir(module, torch.randn(1, *ctx.shape)), load_target("nano"), "always")) == ONE


def test_float32_keeps_the_tolerance_of_deployment() -> None:
    ctx = Ctx((16, 13, 13), 16)
    module = block("k7e6l", ctx)
    x = torch.randn(4, *ctx.shape)
    one = rewritten(ir(module, x), load_target("nano"), "always")
    with torch.no_grad():
        exact, found = module.double()(x.double()), demote(one)(x)
    assert float((found.double() - exact).abs().max() / exact.abs().max()) <= 5e-6


def test_padding_with_zeros_is_not_exact_but_inside() -> None:
    """What the paper implies: one convolution with the bias of the interior, everywhere."""
    ctx = Ctx((4, 9, 9), 4)
    module = block("k3e6l-open", ctx).double()
    assert isinstance(module, LinearMBConv) and module.expand is not None
    x = torch.randn(1, 4, 9, 9, dtype=torch.float64)
    naive = module.project(F.conv2d(module.expand(x), *_folded(module.depthwise), padding=1, groups=24)) + x
    difference = (naive - module(x)).detach().abs()
    assert float(difference[..., 1:-1, 1:-1].max()) < 1e-12 < 1e-3 < float(difference.max())
    module.expand[1].bias.data -= constant_response(module.expand[1]).flatten()
    naive = module.project(F.conv2d(module.expand(x), *_folded(module.depthwise), padding=1, groups=24)) + x
    torch.testing.assert_close(naive, module(x))


def _folded(part: ConvNorm) -> tuple[Tensor, Tensor]:
    conv, norm = part
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return conv.weight * scale.reshape(-1, 1, 1, 1), norm.bias - norm.running_mean * scale


@pytest.mark.parametrize("stride", [1, 2])
def test_both_paddings_are_equal_in_eval_mode(stride: int) -> None:
    ctx, x = place(stride, 9), torch.randn(2, 4, 9, 9, dtype=torch.float64)
    bias, first = (block(as_linear("k5e3l", padding, True), ctx).double() for padding in PADDINGS)
    first.load_state_dict(bias.state_dict())
    torch.testing.assert_close(bias(x), first(x), rtol=1e-12, atol=1e-12)


def test_the_ring_has_running_statistics_and_no_gradient() -> None:
    norm = nn.BatchNorm2d(3).train()
    norm.running_mean.fill_(2.0)  # type: ignore[union-attr]
    norm.bias.data.fill_(1.0)
    ring = constant_response(norm)
    assert ring.shape == (1, 3, 1, 1) and not ring.requires_grad
    torch.testing.assert_close(ring, torch.full((1, 3, 1, 1), 1 - 2 / (1 + norm.eps) ** 0.5))


def test_a_block_without_a_last_activation_ends_with_the_sum() -> None:
    ctx = Ctx((4, 8, 8), 4)
    opened, closed = block("k3e3l-open", ctx), block("k3e3l", ctx)
    x = 5 * torch.randn(2, 4, 8, 8)
    torch.testing.assert_close(closed(x), opened(x).clamp(0, 6))


@pytest.mark.parametrize("name", ["k5e6l", "k5e6l-first", "k3e3l-open", "k7e6l-first-open", "k5c", "k7cbn"])
def test_names_say_everything(name: str) -> None:
    op = operator(name)
    assert op.make.name == name and with_squeeze_excite(op) == op  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["k4e6l", "k4c", "k3e0l", "k3e3lse", "k3e3l-", "k3e3-open"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(SearchError, match="an operator must be"):
        operator(name)


def test_the_space_has_the_published_size() -> None:
    assert LIGHTNAS.size() == 12**21
    assert TOY.size() == 12**6


def test_expansions_make_no_difference_where_everything_collapses() -> None:
    for k, stride in product(KERNELS, (1, 2)):
        ctx = place(stride, 9)
        graphs = [
            rewritten(ir(block(f"k{k}e{e}l", ctx), torch.randn(1, *ctx.shape)), load_target("cpu"), "always")
            for e in EXPANSIONS
        ]
        told = [[(str(n.target), g.shape(n)) for n in gm.graph.nodes if n.op == "call_function"] for gm in graphs]
        assert told[0] == told[1] and operators(graphs[0]) == ONE
        assert condense(graph_kernels(graphs[0])) == condense(graph_kernels(graphs[1]))


def strangers() -> list[Target]:
    """Boards that nobody has: coefficients far from those of any profile, for both kinds of runtime."""
    return [_stranger(load_target(name), random.Random(seed)) for name in ("cpu", "nano") for seed in range(2)]


def _stranger(like: Target, draw: random.Random) -> Target:
    assert like.latency is not None
    shares = like.latency.efficiency.model_dump()
    scaled = like.latency.efficiency.model_copy(update={k: v * 10 ** draw.uniform(-1, 1) for k, v in shares.items()})
    own = {"launch_us": 10 ** draw.uniform(-1, 2), "reduction_ns": 10 ** draw.uniform(-1, 1), "efficiency": scaled}
    return like.model_copy(update={"name": "stranger", "latency": like.latency.model_copy(update=own)})


def targets() -> list[Target]:
    return [target for name in target_names() if (target := load_target(name)).latency is not None] + strangers()


@cache
def captured(name: str, ctx: Ctx, batch: int) -> fx.GraphModule:
    return ir(block(name, ctx), torch.zeros(batch, *ctx.shape))


def milliseconds(gm: fx.GraphModule, target: Target, mode: str = "auto") -> float:
    return estimate(graph_kernels(rewritten(gm, target, mode)), target).ms


def places(macro: MacroSpace, slots: tuple[int, ...], batch: int) -> list[tuple[Ctx, int]]:
    return [(place.ctx, batch) for place in macro.places if place.slot in slots]


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_less_expansion_never_costs_more(target: Target) -> None:
    for ctx, batch in places(TOY, (2,), 64) + places(LIGHTNAS, (20,), 8):
        check_expansions(target, ctx, batch, (3, 7))


@pytest.mark.slow
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_less_expansion_never_costs_more_anywhere(target: Target) -> None:
    slots = tuple(range(21))
    for ctx, batch in {*places(TOY, slots, 64), *places(LIGHTNAS, slots, 8), *places(LIGHTNAS, slots, 1)}:
        check_expansions(target, ctx, batch, KERNELS)


def check_expansions(target: Target, ctx: Ctx, batch: int, kernels: tuple[int, ...]) -> None:
    for k in kernels:
        narrow, wide = (milliseconds(captured(f"k{k}e{e}l", ctx, batch), target) for e in EXPANSIONS)
        assert narrow <= wide * (1 + 1e-9), (ctx, k)


@cache
def network(macro: str, seed: int, batch: int) -> fx.GraphModule:
    space = {"toy": TOY, "lightnas": LIGHTNAS}[macro]
    module = randomised(space.build(space.random(random.Random(seed))), seed)
    return ir(module, torch.zeros(batch, *space.input_shape))


@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
def test_the_default_decision_never_makes_a_network_slower(target: Target) -> None:
    gm = network("toy", len(target.name) % 2, 64)
    assert milliseconds(gm, target) <= milliseconds(gm, target, "never") * (1 + 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("target", targets(), ids=lambda target: target.name)
@pytest.mark.parametrize("macro", ["toy", "lightnas"])
def test_the_default_decision_never_makes_any_network_slower(target: Target, macro: str) -> None:
    for seed in range(2, 8):
        gm = network(macro, seed, 8)
        assert milliseconds(gm, target) <= milliseconds(gm, target, "never") * (1 + 1e-9), seed
