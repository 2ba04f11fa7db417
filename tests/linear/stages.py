"""Operators by hand: a PyTorch call and its description side by side."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from linear.strategies import random
from nascc.passes.linear import convert, pool, rearrange
from nascc.passes.linear.compose import Repair, compose
from nascc.passes.linear.deploy import BORDER_MAP, ONES_CHANNEL
from nascc.passes.linear.operator import Operator, Refusal

Stage = tuple[Callable[[Tensor], Tensor], Operator]
SIZE = (7, 10)
FIXED = {BORDER_MAP, ONES_CHANNEL}


def conv(c: int, o: int, k: int, s: int = 1, p: int = 0, *, d: int = 1, g: int = 1, bias: bool = True) -> Stage:
    weight = random((o, c // g, k, k), seed=10 * k + o)
    vector = random((o,), seed=o) if bias else None
    op = convert.convolution(weight, vector, [s, s], [p, p], [d, d], g)
    return lambda x: F.conv2d(x, weight, vector, s, p, d, g), op


def conv_t(c: int, o: int, k: int, s: int, p: int = 0, *, bias: bool = True) -> Stage:
    weight = random((c, o, k, k), seed=k)
    vector = random((o,), seed=o) if bias else None
    op = convert.convolution(weight, vector, [s, s], [p, p], [1, 1], transposed=True)
    return lambda x: F.conv_transpose2d(x, weight, vector, s, p), op


def batch_norm(c: int) -> Stage:
    gamma, beta, mean = (random((c,), seed=k) for k in (1, 2, 3))
    var = random((c,), seed=4).abs() + 0.5
    return (
        lambda x: F.batch_norm(x, mean, var, gamma, beta, eps=1e-3),
        convert.batch_norm(gamma, beta, mean, var, 1e-3, rank=2),
    )


def normalise(c: int, *, shift: bool = True) -> Stage:
    mean, std = random((c,), seed=5) * shift, random((c,), seed=6).abs() + 0.5
    op = convert.per_channel(1 / std, -mean / std, rank=2)
    return lambda x: (x - mean[:, None, None]) / std[:, None, None], op


def average(c: int, k: int, s: int, p: int = 0, include: bool = True) -> Stage:
    found = pool.average_pool(c, pool.Pool((k, k), (s, s), (p, p), count_include_pad=include), SIZE)
    assert not isinstance(found, Refusal)
    op = found if isinstance(found, Operator) else found.operator
    assert op is not None
    return lambda x: F.avg_pool2d(x, k, s, p, count_include_pad=include), op


def run_chain(stages: list[Stage], x: Tensor) -> Tensor:
    for run, _ in stages:
        x = run(x)
    return x


def fold(stages: list[Stage], size: tuple[int, ...] | None = SIZE, repair: Repair = Repair.NONE) -> Operator | Refusal:
    op = stages[0][1]
    for _, second in stages[1:]:
        found = compose(second, op, size, repair)
        if isinstance(found, Refusal):
            return found
        op = found
    return op


def image(c: int, size: tuple[int, ...] = SIZE) -> Tensor:
    return random((2, c, *size), seed=99)


def shuffle(c: int, r: int) -> Stage:
    return lambda x: F.pixel_shuffle(x, r), rearrange.pixel_shuffle(c // r**2, r).operator


def unshuffle(c: int, r: int) -> Stage:
    return lambda x: F.pixel_unshuffle(x, r), rearrange.pixel_unshuffle(c, r)


def nearest(c: int) -> Stage:
    op = rearrange.nearest_upsampling(c, [2, 2], SIZE).operator
    assert op is not None
    return lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), op


def mixed(c: int, groups: int) -> Stage:
    return lambda x: F.channel_shuffle(x, groups), rearrange.channel_shuffle(c, groups, rank=2)
