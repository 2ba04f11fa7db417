"""Random regions, each leaf beside the PyTorch call it stands for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from linear.strategies import Case, channels, convolutions, operators, pointwise, random, seeds
from nascc.passes.linear import convert, pool, rearrange
from nascc.passes.linear.deploy import Deployed
from nascc.passes.linear.emit import Emitter
from nascc.passes.linear.operator import Operator, Sizes
from nascc.passes.linear.plan import Segment
from nascc.passes.linear.region import Chain, Concat, Expr, Leaf, Sum

Size = tuple[int, ...]
Run = Callable[[Tensor], Tensor]


@dataclass
class Grower:
    """Grows a random expression of at most `budget` leaves; `runs` holds the PyTorch call of each by name."""

    draw: Any
    rank: int
    budget: int
    dynamic: bool = False
    runs: dict[str, Run] = field(default_factory=dict)

    def leaf(self, case: Case, kind: str = "conv", operator: Any = None) -> Leaf:
        name = f"{len(self.runs)}:{case.text}"
        self.runs[name] = case.run
        self.budget -= 1
        return Leaf(name, case.op if operator is None else operator, kind)

    def known(self, size: Size) -> Sizes:
        """The size as far as an operator may rely on it."""
        return (None,) * self.rank if self.dynamic else size

    def chain(self, c: int, size: Size) -> tuple[Expr, int, Size]:
        """Stages one after the other, at least one."""
        parts = []
        for _ in range(self.draw(st.integers(1, 5))):
            if parts and self.budget < 1:
                break
            part, c, size = self.stage(c, size)
            parts.append(part)
        return Chain(tuple(parts)), c, size

    def stage(self, c: int, size: Size) -> tuple[Expr, int, Size]:
        kind = self.draw(st.sampled_from(["operator", "same", "fork", "fork", "pivot"]))
        if kind == "fork" and self.budget >= 3:
            return self.fork(c, size)
        if kind == "pivot":
            return self.pivot(c, size)
        case = (
            self.draw(operators(self.rank, c, size, self.dynamic))
            if kind == "operator"
            else self.same(c, self.draw(channels), 1)
        )
        return self.leaf(case), case.op.c_out, _known(case.op, size)

    def fork(self, c: int, size: Size) -> tuple[Expr, int, Size]:
        """Branches that agree in stride and size, summed or concatenated."""
        stride = self.draw(st.sampled_from([1, 1, 2]))
        summed, c_out = self.draw(st.booleans()), self.draw(st.sampled_from([c, self.draw(channels)]))
        branches, widths = [], []
        for _ in range(self.draw(st.integers(2, 4))):
            widths.append(c_out if summed else self.draw(channels))
            branches.append(self.branch(c, widths[-1], stride, size))
        out = tuple((n - 1) // stride + 1 for n in size)
        return (Sum if summed else Concat)(tuple(branches)), c_out if summed else sum(widths), out

    def branch(self, c: int, c_out: int, stride: int, size: Size) -> Expr:
        kind = self.draw(st.sampled_from(["identity", "same", "bottleneck", "late", "pool", "nested", "pad_first"]))
        if kind == "identity" and c == c_out and stride == 1:
            return self.leaf(Case("identity", lambda x: x, convert.identity(c, self.rank)), "identity")
        if kind == "bottleneck":
            first = self.draw(pointwise(self.rank, c))
            return Chain((self.leaf(first), self.leaf(self.same(first.op.c_out, c_out, stride))))
        if kind == "late":
            first = self.same(c, self.draw(channels), stride)
            return Chain((self.leaf(first), self.leaf(self.draw(pointwise(self.rank, first.op.c_out, c_out)))))
        if kind == "pool" and min(size) >= 3:
            pooled = pool.Pool((3,) * self.rank, (stride,) * self.rank, (1,) * self.rank)
            op = pool.average_pool(c, pooled, size)
            assert isinstance(op, Operator)
            function = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[self.rank]
            average = self.leaf(Case("pool3", lambda x: function(x, 3, stride, 1), op), "average_pool")
            around = [average, self.leaf(self.draw(pointwise(self.rank, c, c_out)))]
            return Chain(tuple(around))
        if kind == "nested" and self.budget >= 2:
            inner = Sum((self.leaf(self.same(c, c_out, stride)), self.leaf(self.same(c, c_out, stride))))
            return Chain((inner, self.leaf(self.draw(pointwise(self.rank, c_out, c_out)))))
        if kind == "pad_first":
            first = self.draw(pointwise(self.rank, c))
            valid = convolution(first.op.c_out, c_out, 3, stride, 0, self.draw(seeds))
            pad = [1, 1] * self.rank
            padding = convert.constant_pad(c, [(1, 1)] * self.rank)
            leaves = (self.leaf(Case("pad1", lambda x: F.pad(x, pad), padding), "pad"), self.leaf(first))
            return Chain((*leaves, self.leaf(valid(self.rank))))
        return self.leaf(self.same(c, c_out, stride))

    def same(self, c: int, c_out: int, stride: int) -> Case:
        """A convolution that keeps the size, before its stride."""
        k = self.draw(st.sampled_from([1, 3, 5]))
        return convolution(c, c_out, k, stride, k // 2, self.draw(seeds), self.draw(st.booleans()))(self.rank)

    def pivot(self, c: int, size: Size) -> tuple[Expr, int, Size]:
        """A mean or a shuffle that pointwise operators pass through."""
        kind = self.draw(st.sampled_from(["inner mean", "global", "nearest", "shuffle"]))
        if kind == "shuffle" and self.rank == 2 and c % 4 == 0:
            shuffle = rearrange.pixel_shuffle(c // 4, 2)
            case = Case("shuffle", lambda x: F.pixel_shuffle(x, 2), shuffle.operator)
            return self.leaf(case, "pixel_shuffle", shuffle), c // 4, tuple(2 * n for n in size)
        some = convert.identity(c, self.rank)
        if kind == "global":
            mean = pool.global_average_pool(c, size, self.known(size))
            dims = tuple(range(2, 2 + self.rank))
            case = Case("mean", lambda x: x.mean(dims, keepdim=True), some)
            return self.leaf(case, "average_pool", mean), c, mean.size
        if kind == "inner mean" and min(size) >= 2 and self.rank == 2:
            a = pool.Pool((2, 2), (2, 2), (1, 1), self.draw(st.booleans()), count_include_pad=False)
            found = pool.average_pool(c, a, size, self.known(size))
            assert isinstance(found, pool.Averaging)
            ceil = a.ceil_mode
            case = Case("inner", lambda x: F.avg_pool2d(x, 2, 2, 1, ceil, count_include_pad=False), some)
            return self.leaf(case, "average_pool", found), c, found.size
        up = rearrange.nearest_upsampling(c, [2] * self.rank, size)
        case = Case("nearest", lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), some)
        return self.leaf(case, "upsample", up), c, up.size


def convolution(c: int, c_out: int, k: int, s: int, p: int, seed: int, bias: bool = True) -> Callable[[int], Case]:
    """A square convolution."""

    def of(rank: int) -> Case:
        weight = random((c_out, c, *[k] * rank), seed)
        vector = random((c_out,), seed + 1) if bias else None
        args = ([s] * rank, [p] * rank, [1] * rank)

        def run(x: Tensor) -> Tensor:
            return torch.convolution(x, weight, vector, *args, False, [0] * rank, 1)

        return Case(f"conv({c}>{c_out} k{k} s{s} p{p} b{bias})", run, convert.convolution(weight, vector, *args))

    return of


def _known(op: Operator, size: Size) -> Size:
    return tuple(n or 0 for n in op.out_size(size))


@st.composite
def regions(draw: Any, leaves: int = 12, dynamic: bool = False) -> tuple[Expr, int, Size, dict[str, Run]]:
    """(expression, input channels, input size, runs)."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    size = tuple(draw(st.integers(1, 8 if rank < 3 else 4)) for _ in range(rank))
    c = draw(st.sampled_from([1, 2, 4, 6]))
    grower = Grower(draw, rank, leaves, dynamic)
    expression, _, _ = grower.chain(c, size)
    return expression, c, size, grower.runs


def emitter(runs: dict[str, Run]) -> Emitter[Tensor]:
    """Runs leaves as PyTorch does and convolutions as they are deployed."""

    def deployed(step: Deployed, x: Tensor, segment: Segment) -> Tensor:
        return step(x)

    def join(kind: str, values: list[Tensor]) -> Tensor:
        return torch.cat(values, dim=1) if kind == "concat" else torch.stack(values).sum(0)

    return Emitter(lambda leaf, x: runs[leaf.name](x), deployed, join)


__all__ = ["Case", "Grower", "convolutions", "emitter", "regions"]
