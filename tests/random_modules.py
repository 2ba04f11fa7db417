"""Random regions of linear operators as modules: chains, sums, concatenations, residuals, heads on vectors."""

from collections.abc import Callable
from random import Random
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from collapsible import Branches
from kit import randomised
from nascc.passes.linear.description import LinearOp

CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
POOLS = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
ADAPTIVE = {1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}
NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
LARGEST = 4096


class Call(nn.Module):
    """A function of one tensor, and what it is called in a report of a failure."""

    def __init__(self, function: Callable[[Tensor], Tensor], name: str) -> None:
        super().__init__()
        self.function, self.name = function, name

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)

    def extra_repr(self) -> str:
        return self.name


class Builder:
    """Draws modules with at most `budget` operators, for images of a rank; shapes come from running them."""

    def __init__(self, draw: Any, rank: int, budget: int) -> None:
        self.draw, self.rank, self.budget = draw, rank, budget

    def pick(self, *values: Any) -> Any:
        return self.draw(st.sampled_from(values))

    def region(self, x: Tensor) -> nn.Module:
        """A chain of stages, perhaps with a head on vectors."""
        stages = []
        for _ in range(self.pick(1, 2, 3, 4, 5)):
            if self.budget > 0:
                stages.append(self.stage(x))
                x = stages[-1](x)
        if self.budget > 0 and self.pick(False, False, True):
            stages += self.head(x)
        return nn.Sequential(*stages)

    def stage(self, x: Tensor) -> nn.Module:
        if self.budget >= 3 and self.pick(True, False):
            return self.fork(x)
        return self.operator(x)

    def operator(self, x: Tensor) -> nn.Module:
        """One operator; a 1x1 convolution where the drawn one does not fit the image."""
        self.budget -= 1
        kinds = [self.conv, self.conv, self.same, self.norm, self.transposed, self.pool, self.mean, self.pad, self.move]
        module = self.pick(*kinds)(x.shape[1], x)
        try:
            fits = 0 < module(x).numel() <= LARGEST
        except RuntimeError:
            fits = False
        return module if fits else CONVS[self.rank](x.shape[1], self.pick(1, 2, 4), 1)

    def fork(self, x: Tensor) -> nn.Module:
        """Branches of equal stride, summed or concatenated; a sum may have the input itself as a branch."""
        c, stride, concat = x.shape[1], self.pick(1, 1, 2), self.pick(False, False, True)
        c_out, branches = self.pick(c, c, 2, 4), []
        for _ in range(self.pick(2, 2, 3)):
            width = self.pick(1, 2, 4) if concat else c_out
            branches.append(self.branch(c, width, stride, x))
        if stride == 1 and c == c_out and not concat and self.pick(False, True):
            branches.append(nn.Identity())
        return Branches(*branches, concat=concat)

    def branch(self, c: int, width: int, stride: int, x: Tensor) -> nn.Module:
        kind = self.pick("one", "one", "bottleneck", "late", "normed", "pooled")
        self.budget -= 1 if kind == "one" else 2
        conv = CONVS[self.rank]
        if kind == "bottleneck":
            return nn.Sequential(conv(c, 3, 1, bias=self.pick(True, False)), self.sized(3, width, stride))
        if kind == "late":
            return nn.Sequential(self.sized(c, 3, stride), conv(3, width, 1))
        if kind == "normed":
            return nn.Sequential(self.sized(c, width, stride), NORMS[self.rank](width))
        if kind == "pooled" and min(x.shape[2:]) >= 3:
            return nn.Sequential(conv(c, width, 1, bias=False), POOLS[self.rank](3, stride, 1))
        return self.sized(c, width, stride)

    def sized(self, c: int, width: int, stride: int) -> nn.Module:
        """A convolution whose output is as large as its input, before the stride."""
        k, d = self.pick(1, 3, 5), self.pick(1, 1, 2)
        groups = self.pick(*_common(c, width))
        padding = d * (k // 2)
        return CONVS[self.rank](c, width, k, stride, padding, d, groups, bias=self.pick(True, False))

    def same(self, c: int, x: Tensor) -> nn.Module:
        return self.sized(c, self.pick(c, 2, 4), 1)

    def conv(self, c: int, x: Tensor) -> nn.Module:
        c_out = self.pick(1, 2, 4)
        k, s, p, d = self.pick(1, 2, 3, 4), self.pick(1, 1, 2, 3), self.pick(0, 0, 1, 2), self.pick(1, 1, 2)
        groups = self.pick(*_common(c, c_out))
        return CONVS[self.rank](c, c_out, k, s, p, d, groups, bias=self.pick(True, False))

    def transposed(self, c: int, x: Tensor) -> nn.Module:
        c_out, s = self.pick(1, 2, 4), self.pick(1, 2)
        groups = self.pick(*_common(c, c_out))
        extra = self.pick(0, s - 1)
        return TRANSPOSED[self.rank](
            c, c_out, self.pick(1, 2, 3, 4), s, self.pick(0, 1), extra, groups, self.pick(True, False)
        )

    def norm(self, c: int, x: Tensor) -> nn.Module:
        return NORMS[self.rank](c)

    def pool(self, c: int, x: Tensor) -> nn.Module:
        k = self.pick(2, 3)
        return POOLS[self.rank](k, self.pick(1, 2), self.pick(0, 1), self.pick(False, True), self.pick(False, True))

    def mean(self, c: int, x: Tensor) -> nn.Module:
        return ADAPTIVE[self.rank](self.pick(1, 2, 3))

    def pad(self, c: int, x: Tensor) -> nn.Module:
        sides = [self.pick(0, 1, 2) for _ in range(2 * self.rank)]
        value = self.pick(0.0, 0.5)
        return Call(lambda x: F.pad(x, sides, value=value), f"pad {sides} {value}")

    def move(self, c: int, x: Tensor) -> nn.Module:
        """Pixels and channels moved, nothing computed."""
        kind = self.pick("nearest", "shuffle", "unshuffle", "channels", "by hand", "slice")
        if kind == "nearest":
            return nn.Upsample(scale_factor=self.pick(2, 3))
        if kind == "slice":
            return Call(lambda x: x[:, : max(1, c // 2)], "slice")
        if self.rank != 2 or (kind == "shuffle" and c % 4):
            return NORMS[self.rank](c)
        if kind == "by hand":
            g = self.pick(*_common(c, c))
            return Call(lambda x: x.unflatten(1, (g, c // g)).transpose(1, 2).flatten(1, 2), f"shuffle {g}")
        shuffles = {"shuffle": nn.PixelShuffle(2), "unshuffle": nn.PixelUnshuffle(2)}
        return shuffles.get(kind, nn.ChannelShuffle(self.pick(*_common(c, c))))

    def head(self, x: Tensor) -> list[nn.Module]:
        """From images to vectors, and a layer or two there."""
        self.budget -= 1
        dims = tuple(range(2, x.ndim))
        ways = {
            "flatten": nn.Flatten(),
            "mean": Call(lambda x: x.mean(dims), "mean"),
            "pooled": nn.Sequential(ADAPTIVE[self.rank](1), nn.Flatten()),
        }
        way = ways[self.pick(*ways)]
        layers = [way, nn.Linear(way(x).shape[1], 5)]
        return layers + (self.pick([], [nn.BatchNorm1d(5)], [nn.Linear(5, 3)]) if self.budget > 0 else [])


def _common(a: int, b: int) -> list[int]:
    """Every common divisor."""
    return [k for k in range(1, min(a, b) + 1) if a % k == b % k == 0]


@st.composite
def modules(draw: Any, operators: int = 12) -> tuple[nn.Module, Tensor]:
    """(a module with non-trivial weights and statistics, an input for it)."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    size = [draw(st.integers(2, 8 if rank < 3 else 4)) for _ in range(rank)]
    shape = (2, draw(st.sampled_from([1, 2, 4])), *size)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        module = Builder(draw, rank, operators).region(x)
    return randomised(module.eval(), draw(st.integers(0, 99))), x


def random_cost(seed: int) -> Callable[[tuple[LinearOp, ...]], float]:
    """A cost without sense: each description has a random price of its own."""
    return lambda ops: sum(Random(f"{seed} {op}").random() for op in ops)
