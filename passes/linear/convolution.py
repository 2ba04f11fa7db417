"""An operator as the convolution, transposed convolution or linear layer that PyTorch and ONNX run."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import gcd

import torch
from torch import Tensor
from torch.nn import functional as F

from nascc.passes.linear.embed import embed
from nascc.passes.linear.operator import Ints, Operator

Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True, eq=False)
class Convolution:
    """The arguments of a convolution of any rank; rank 0 is a linear layer on [N, C_in].

    weight [C_out, C_in / g, *k], transposed [C_in, C_out / g, *k]; padding is (before, after) a dimension. A transposed
    one crops `padding[d][0]` before, and its output_padding is `padding[d][0] - padding[d][1]`, which PyTorch allows.
    """

    weight: Tensor
    bias: Tensor | None
    stride: Ints
    padding: Pads
    dilation: Ints
    groups: int
    transposed: bool = False

    @property
    def rank(self) -> int:
        """Number of spatial dimensions."""
        return len(self.stride)

    @property
    def c_out(self) -> int:
        """Number of output channels."""
        return self.weight.shape[1] * self.groups if self.transposed else self.weight.shape[0]

    @property
    def c_in(self) -> int:
        """Number of input channels."""
        return self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups

    @property
    def kernel_size(self) -> Ints:
        """Taps a dimension."""
        return tuple(self.weight.shape[2:])

    @property
    def output_padding(self) -> Ints:
        """What a transposed convolution adds after; zeros for others."""
        return tuple(b - a if self.transposed else 0 for b, a in self.padding)

    @property
    def common_padding(self) -> Ints:
        """The padding both sides share: the convolution's own `padding` argument."""
        return tuple(b if self.transposed else min(b, a) for b, a in self.padding)

    @property
    def explicit_padding(self) -> Pads:
        """What a `constant_pad_nd` with zeros must add first because the two sides differ; all zeros if nothing."""
        if self.transposed:
            return ((0, 0),) * self.rank
        return tuple((b - c, a - c) for (b, a), c in zip(self.padding, self.common_padding, strict=True))

    def out_size(self, size: Sequence[int]) -> Ints:
        """Output size of an input size."""
        dims = zip(size, self.kernel_size, self.stride, self.padding, self.dilation, strict=True)
        if self.transposed:
            return tuple((n - 1) * s + d * (k - 1) + 1 - b - a for n, k, s, (b, a), d in dims)
        return tuple((n + b + a - d * (k - 1) - 1) // s + 1 for n, k, s, (b, a), d in dims)


def to_convolution(op: Operator) -> Convolution:
    """The smallest convolution that computes `op`, its dilation the largest common spacing of the taps.

    `op` has no pad value and no ones (see `deploy`). Where the taps do not fit legal paddings the kernel is extended
    with zeros.
    """
    transposed = any(u > 1 for u in op.up)
    fit = _fit_transposed if transposed else _fit
    stride = op.up if transposed else op.down
    fits = [fit(taps, extent, s) for taps, extent, s in zip(op.offsets, op.extent, stride, strict=True)]
    grid = tuple(tuple(range(lo, hi + 1, step)) for lo, hi, step, _ in fits)
    kernel = embed(op.kernel, op.offsets, grid)
    return Convolution(
        weight=_transpose(kernel, op.groups) if transposed else kernel.contiguous(),
        bias=None if op.bias is None or not bool(op.bias.any()) else op.bias,
        stride=stride,
        padding=tuple(padding for *_, padding in fits),
        dilation=tuple(step for _, _, step, _ in fits),
        groups=op.groups,
        transposed=transposed,
    )


def _step(taps: Ints) -> int:
    return gcd(*(b - a for a, b in pairwise(taps))) or 1


def _fit(taps: Ints, extent: int, stride: int) -> tuple[int, int, int, tuple[int, int]]:
    """(first tap, last tap, dilation, padding) with padding before = -first and after = extent + last, both >= 0."""
    lo, hi, step = taps[0], taps[-1], _step(taps)
    lo -= step * _steps(lo, step)
    hi += step * _steps(-(extent + hi), step)
    return lo, hi, step, (-lo, extent + hi)


def _fit_transposed(taps: Ints, extent: int, stride: int) -> tuple[int, int, int, tuple[int, int]]:
    """(first tap, last tap, dilation, crop): before = last and after = -first - extent, as PyTorch allows them.

    PyTorch crops before >= 0, and 0 <= before - after < max(stride, dilation).
    """
    lo, hi, step = taps[0], taps[-1], _step(taps)
    hi += step * _steps(-hi, step)
    hi += step * _steps(-lo - extent - hi, step)
    lo -= step * _steps(hi + lo + extent - max(stride, step) + 1, step)
    return lo, hi, step, (hi, -lo - extent)


def _steps(distance: int, step: int) -> int:
    return max(0, -(-distance // step))


def _transpose(kernel: Tensor, groups: int) -> Tensor:
    """[C_out, C_in / g, *taps ascending] -> [C_in, C_out / g, *k], taps descending."""
    out, inner, taps = kernel.shape[0], kernel.shape[1], kernel.shape[2:]
    weight = kernel.reshape(groups, out // groups, inner, *taps).transpose(1, 2)
    return weight.reshape(groups * inner, out // groups, *taps).flip(tuple(range(2, 2 + len(taps)))).contiguous()


def run(conv: Convolution, x: Tensor) -> Tensor:
    """The convolution applied to [N, C_in, *size] -> [N, C_out, *out]."""
    if conv.rank == 0:
        return F.linear(x, conv.weight, conv.bias)
    pads = [p for sides in reversed(conv.explicit_padding) for p in sides]
    x = F.pad(x, pads) if any(pads) else x
    arguments = (conv.stride, conv.common_padding, conv.dilation, conv.transposed, conv.output_padding, conv.groups)
    return torch.convolution(x, conv.weight, conv.bias, *arguments)
