"""Operators that only move pixels and channels: shuffles, permutations, slices, nearest upsampling."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from nascc.passes.linear.convert import convolution
from nascc.passes.linear.operator import Operator
from nascc.passes.linear.pool import Averaging


@dataclass(frozen=True, eq=False)
class PixelShuffle:
    """[N, C * r^d, *size] -> [N, C, *(size * r)]: a pointwise operator after it can be lifted before it."""

    factor: int
    operator: Operator

    def lift(self, pointwise: Operator) -> Operator:
        """The operator on [C * r^d] channels that does before the shuffle what `pointwise` does after it."""
        phases = self.operator.c_in // self.operator.c_out
        eye = torch.eye(phases, dtype=torch.float64)
        matrix = pointwise.kernel.flatten(1)
        shape = (pointwise.c_out * phases, -1, *[1] * pointwise.rank)
        if pointwise.is_outline:
            kernel = matrix.new_empty(shape[0], matrix.shape[1] * phases, *shape[2:])
        else:
            kernel = torch.kron(matrix, eye).reshape(shape)
        bias = None if pointwise.bias is None else pointwise.bias.repeat_interleave(phases)
        remembered = None
        if pointwise.remembered is not None:
            gain, support = pointwise.remembered
            lifted = None if gain is None else torch.kron(gain, eye)
            remembered = (lifted, torch.kron(support.double(), eye) > 0)
        return replace(pointwise, kernel=kernel, bias=bias, remembered=remembered)


def pixel_shuffle(channels: int, factor: int, rank: int = 2) -> PixelShuffle:
    """`aten.pixel_shuffle` giving `channels`: each channel's r^d inputs go to the pixels of an r^d cell, row-major."""
    return PixelShuffle(factor, _cells(channels, factor, rank, transposed=True))


def pixel_unshuffle(channels: int, factor: int, rank: int = 2) -> Operator:
    """`aten.pixel_unshuffle` of `channels`: the pixels of an r^d cell become r^d channels, row-major.

    PyTorch takes sizes that r divides and no others, so outputs may be counted from the first pixels of the cells:
    then nothing is left over at the end, whatever the size.
    """
    cells = _cells(channels, factor, rank, transposed=False)
    return replace(cells, extent=(0,) * rank, multiple=(factor,) * rank)


def _cells(channels: int, factor: int, rank: int, *, transposed: bool) -> Operator:
    phases = factor**rank
    cell = torch.eye(phases, dtype=torch.float64).reshape(phases, 1, *[factor] * rank)
    weight = cell.repeat(channels, 1, *[1] * rank)
    return convolution(weight, None, [factor] * rank, [0] * rank, [1] * rank, channels, transposed=transposed)


def select(channels: Sequence[int], c_in: int, rank: int) -> Operator:
    """Output channel k is input channel `channels[k]`: a permutation, a slice, one part of a split."""
    kernel = torch.zeros(len(channels), c_in, *[1] * rank, dtype=torch.float64)
    kernel[torch.arange(len(channels)), torch.tensor(list(channels), dtype=torch.long)] = 1
    return convolution(kernel, None, [1] * rank, [0] * rank, [1] * rank)


def channel_shuffle(channels: int, groups: int, rank: int) -> Operator:
    """`aten.channel_shuffle`: [g, C / g] transposed to [C / g, g]."""
    order = torch.arange(channels).reshape(groups, -1).t().flatten().tolist()
    return select(order, channels, rank)


def nearest_upsampling(channels: int, factors: Sequence[int], size: Sequence[int]) -> Averaging:
    """Each pixel becomes a cell of `factors` pixels; `size` is the input's."""
    weight = torch.ones(channels, 1, *factors, dtype=torch.float64)
    rank = len(factors)
    operator = convolution(weight, None, factors, [0] * rank, [1] * rank, channels, transposed=True)
    return Averaging(tuple(n * f for n, f in zip(size, factors, strict=True)), operator)
