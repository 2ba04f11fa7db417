"""Random linear operators, each beside the PyTorch call it describes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from nascc.passes.linear import convert, pool, rearrange
from nascc.passes.linear.deploy import deploy, fixes_for
from nascc.passes.linear.operator import Operator, Refusal

Draw = st.DrawFn


@dataclass(frozen=True, eq=False)
class Case:
    """What PyTorch computes, and the operator that must say the same."""

    text: str
    run: Callable[[Tensor], Tensor]
    op: Operator

    def __repr__(self) -> str:
        return self.text


def relative(actual: Tensor, expected: Tensor) -> float:
    """Largest difference over the largest expected value; shapes must agree."""
    assert actual.shape == expected.shape, f"{tuple(actual.shape)} for {tuple(expected.shape)}"
    scale = float(expected.abs().max())
    return float((actual - expected).abs().max()) / (scale or 1.0)


def errors(op: Operator, x: Tensor, expected: Tensor) -> dict[str, float]:
    """Relative error of every legal way to deploy `op`, for the static size of x."""
    size = tuple(x.shape[2:])
    found = {}
    for fix in fixes_for(op, size, size):
        deployed = deploy(op, fix, size)
        assert not isinstance(deployed, Refusal), deployed
        found[fix] = relative(deployed(x), expected)
    return found


def check(op: Operator | Refusal, x: Tensor, expected: Tensor, tolerance: float = 1e-10) -> None:
    """`op` exists and gives `expected` in every way to deploy it."""
    assert not isinstance(op, Refusal), op.reason
    found = errors(op, x, expected)
    assert found and max(found.values()) <= tolerance, found


def random(shape: tuple[int, ...], seed: int) -> Tensor:
    """Seeded float64 normal numbers."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def divisors(n: int) -> list[int]:
    """Every divisor of n."""
    return [k for k in range(1, n + 1) if n % k == 0]


def common(a: int, b: int) -> list[int]:
    """Every common divisor."""
    return [k for k in divisors(a) if b % k == 0]


seeds = st.integers(0, 2**20)
channels = st.sampled_from([1, 2, 3, 4, 6, 8])


@st.composite
def convolutions(draw: Draw, rank: int, c_in: int, c_out: int | None = None, stride: int | None = None) -> Case:
    """Any convolution, padded per side."""
    c_out = draw(channels) if c_out is None else c_out
    groups = draw(st.sampled_from(common(c_in, c_out)))
    k = [draw(st.integers(1, 4)) for _ in range(rank)]
    s = [draw(st.integers(1, 3)) if stride is None else stride for _ in range(rank)]
    d = [draw(st.integers(1, 2)) for _ in range(rank)]
    pad = [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank)]
    pad = draw(st.sampled_from([pad, [(0, 0)] * rank]))
    weight = random((c_out, c_in // groups, *k), draw(seeds))
    bias = random((c_out,), draw(seeds)) if draw(st.booleans()) else None
    flat = [p for sides in reversed(pad) for p in sides]
    text = f"conv({c_in}>{c_out} k{k} s{s} d{d} p{pad} g{groups} b{bias is not None})"

    def run(x: Tensor) -> Tensor:
        zero = [0] * rank
        x = F.pad(x, flat)
        return torch.convolution(x, weight, bias, s, zero, d, False, zero, groups)

    return Case(text, run, convert.convolution(weight, bias, s, pad, d, groups))


@st.composite
def transposed(draw: Draw, rank: int, c_in: int) -> Case:
    """Any transposed convolution."""
    c_out = draw(channels)
    groups = draw(st.sampled_from(common(c_in, c_out)))
    k = [draw(st.integers(1, 4)) for _ in range(rank)]
    s = [draw(st.integers(1, 3)) for _ in range(rank)]
    d = [draw(st.integers(1, 2)) for _ in range(rank)]
    p = [draw(st.integers(0, 2)) for _ in range(rank)]
    p = draw(st.sampled_from([p, [0] * rank]))
    extra = [draw(st.integers(0, max(a, b) - 1)) for a, b in zip(s, d, strict=True)]
    weight = random((c_in, c_out // groups, *k), draw(seeds))
    bias = random((c_out,), draw(seeds)) if draw(st.booleans()) else None
    text = f"convT({c_in}>{c_out} k{k} s{s} d{d} p{p}+{extra} g{groups} b{bias is not None})"

    def run(x: Tensor) -> Tensor:
        return torch.convolution(x, weight, bias, s, p, d, True, extra, groups)

    op = convert.convolution(weight, bias, s, p, d, groups, transposed=True, output_padding=extra)
    return Case(text, run, op)


@st.composite
def pointwise(draw: Draw, rank: int, c_in: int, c_out: int | None = None, bias: bool | None = None) -> Case:
    """1x1 convolution, batch norm, scale, shift."""
    c_out = draw(channels) if c_out is None else c_out
    with_bias = draw(st.booleans()) if bias is None else bias
    if c_out == c_in and draw(st.booleans()):
        scale, shift = random((c_in,), draw(seeds)), random((c_in,), draw(seeds)) if with_bias else None
        shape = (1, -1, *[1] * rank)

        def run_affine(x: Tensor) -> Tensor:
            y = x * scale.reshape(shape)
            return y if shift is None else y + shift.reshape(shape)

        return Case(f"affine({c_in} b{with_bias})", run_affine, convert.per_channel(scale, shift, rank))
    weight = random((c_out, c_in), draw(seeds))
    vector = random((c_out,), draw(seeds)) if with_bias else None

    def run(x: Tensor) -> Tensor:
        return F.linear(x.movedim(1, -1), weight, vector).movedim(-1, 1)

    return Case(f"1x1({c_in}>{c_out} b{with_bias})", run, convert.linear(weight, vector, rank))


@st.composite
def pads(draw: Draw, rank: int, c: int) -> Case:
    """pad(x - v) + v."""
    sides = [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(rank)]
    value = random((c,), draw(seeds))
    flat = [p for pair in reversed(sides) for p in pair]
    shape = (1, -1, *[1] * rank)

    def run(x: Tensor) -> Tensor:
        return F.pad(x - value.reshape(shape), flat) + value.reshape(shape)

    return Case(f"pad({c} {sides})", run, convert.constant_pad(c, sides, value))


@st.composite
def pools(draw: Draw, rank: int, c: int, size: tuple[int, ...], dynamic: bool = False) -> Case:
    """Average pools that are convolutions at `size`, or at any size."""
    k = [draw(st.integers(1, min(4, n))) for n in size]
    arguments = pool.Pool(
        kernel=tuple(k),
        stride=tuple(draw(st.integers(1, 3)) for _ in range(rank)),
        padding=tuple(draw(st.integers(0, n // 2)) for n in k),
        ceil_mode=draw(st.booleans()),
        count_include_pad=draw(st.booleans()),
        divisor_override=draw(st.sampled_from([None, 3])) if rank > 1 else None,
    )
    found = pool.average_pool(c, arguments, size, (None,) * rank if dynamic else size)
    op = found.operator if isinstance(found, pool.Averaging) else found
    if not isinstance(op, Operator):
        return Case("identity", lambda x: x, convert.identity(c, rank))
    return Case(f"pool({c} {arguments})", pool_of(arguments), op)


def pool_of(a: pool.Pool) -> Callable[[Tensor], Tensor]:
    """PyTorch's own average pool."""
    function = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[len(a.kernel)]
    more = {} if len(a.kernel) == 1 else {"divisor_override": a.divisor_override}
    return lambda x: function(x, a.kernel, a.stride, a.padding, a.ceil_mode, a.count_include_pad, **more)


@st.composite
def rearrangements(draw: Draw, rank: int, c: int, size: tuple[int, ...]) -> Case:
    """Permutations, slices, nearest upsampling, pixel (un)shuffle."""
    kind = draw(st.sampled_from(["select", "nearest", "unshuffle", "shuffle", "channel_shuffle"]))
    if kind == "nearest":
        factors = [draw(st.integers(1, 2)) for _ in range(rank)]
        op = rearrange.nearest_upsampling(c, factors, size).operator
        assert op is not None

        def run(x: Tensor) -> Tensor:
            for d, f in enumerate(factors, start=2):
                x = x.repeat_interleave(f, dim=d)
            return x

        return Case(f"nearest({c} x{factors})", run, op)
    if kind == "unshuffle" and rank == 2 and all(n % 2 == 0 for n in size):
        return Case("unshuffle", lambda x: F.pixel_unshuffle(x, 2), rearrange.pixel_unshuffle(c, 2))
    if kind == "shuffle" and rank == 2 and c % 4 == 0:
        return Case("shuffle", lambda x: F.pixel_shuffle(x, 2), rearrange.pixel_shuffle(c // 4, 2).operator)
    if kind == "channel_shuffle" and rank == 2:
        groups = draw(st.sampled_from(divisors(c)))
        op = rearrange.channel_shuffle(c, groups, rank)
        return Case(f"channel_shuffle({c} {groups})", lambda x: F.channel_shuffle(x, groups), op)
    order = draw(st.lists(st.integers(0, c - 1), min_size=1, max_size=c))
    return Case(f"select({c} {order})", lambda x: x[:, order], rearrange.select(order, c, rank))


@st.composite
def operators(draw: Draw, rank: int, c_in: int, size: tuple[int, ...], dynamic: bool = False) -> Case:
    """Any operator that gives at least one output for `size`."""
    kinds = [convolutions(rank, c_in), convolutions(rank, c_in), pointwise(rank, c_in), transposed(rank, c_in)]
    kinds += [pads(rank, c_in), pools(rank, c_in, size, dynamic), rearrangements(rank, c_in, size)]
    case = draw(st.one_of(*kinds))
    if min(n or 0 for n in case.op.out_size(size)) < 1:
        return draw(pointwise(rank, c_in))
    return case
