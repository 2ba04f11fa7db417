"""Kernels without the taps at their edges that are always zero: which taps may go, and what padding is left."""

import math
from dataclasses import dataclass
from itertools import product

from torch import Tensor

from nascc.passes import graph as g
from nascc.passes.views import Conv

LEAST_GAIN = 2
"""How many times fewer taps a crop must leave to be worth an operator that cuts the input."""

Ends = tuple[int, int]


@dataclass(frozen=True)
class Crop:
    """For each dimension: taps that go (before, after), the padding left, pixels of the input to start and end at.

    `window` is None where the whole input is read.
    """

    taps: tuple[Ends, ...]
    padding: tuple[int, ...]
    window: tuple[Ends | None, ...]

    @property
    def cuts(self) -> bool:
        """Must the input be cut?"""
        return any(w is not None for w in self.window)

    def __bool__(self) -> bool:
        return any(map(any, self.taps))

    def apply(self, weight: Tensor) -> Tensor:
        """The weight `[.., .., *k]` without the taps that go."""
        for dim, (before, after) in enumerate(self.taps, start=2):
            weight = weight.narrow(dim, before, weight.shape[dim] - before - after)
        return weight


def zero_shells(weight: Tensor) -> tuple[Ends, ...]:
    """For each dimension of a kernel `[.., .., *k]`: how many slices at its (beginning, end) are zero.

    The middle slice always stays, so that something is left of a kernel of zeros.
    """
    used = (weight != 0).flatten(0, 1).any(0)
    shells = []
    for dim, k in enumerate(weight.shape[2:]):
        line = used.movedim(dim, 0).reshape(k, -1).any(1)
        line[k // 2] |= not bool(line.any())
        filled = line.nonzero().reshape(-1)
        shells.append((int(filled[0]), k - 1 - int(filled[-1])))
    return tuple(shells)


def crop_of(conv: Conv, weight: Tensor) -> Crop | None:
    """How a convolution that has `weight` now can do with fewer taps, for the same outputs; None if it can not.

    What needs no other operator is done; cutting the input only where that leaves half of the taps or fewer.
    """
    if weight.ndim < 3 or not any(map(any, shells := zero_shells(weight))):
        return None
    sizes = [s if isinstance(s, int) else None for s in g.shape(conv.input)[2:]]
    choices = [_choices(conv, dim, ends, size) for dim, (ends, size) in enumerate(zip(shells, sizes, strict=True))]
    free = [next(c for c in some if c[2] is None) for some in choices]
    best = [some[0] for some in choices]
    dearer = conv.groups == 1 and LEAST_GAIN * _taps(conv, best) <= _taps(conv, free)
    chosen = best if dearer else free
    crop = Crop(*(tuple(c[k] for c in chosen) for k in range(3)))  # type: ignore[arg-type]
    return crop or None


Choice = tuple[Ends, int, Ends | None]


def _taps(conv: Conv, chosen: list[Choice]) -> int:
    return math.prod(k - sum(c[0]) for k, c in zip(conv.kernel, chosen, strict=True))


def _choices(conv: Conv, dim: int, ends: Ends, size: int | None) -> list[Choice]:
    """What can be done along one dimension, most taps first; free ones before those that cut the input."""
    if conv.transposed:
        both = min(*ends, conv.padding[dim] // conv.dilation[dim])
        return [((both, both), conv.padding[dim] - conv.dilation[dim] * both, None)]
    found = [
        choice
        for before, after in product(range(ends[0] + 1), range(ends[1] + 1))
        if (choice := _choice(conv, dim, (before, after), size)) is not None
    ]
    return sorted(found, key=lambda c: (-sum(c[0]), c[2] is not None))


def _choice(conv: Conv, dim: int, ends: Ends, size: int | None) -> Choice | None:
    stride, padding, dilation = conv.stride[dim], conv.padding[dim], conv.dilation[dim]
    reach = dilation * (conv.kernel[dim] - 1)
    left, extent = padding - dilation * ends[0], reach - dilation * sum(ends)
    if left >= 0 and ends[0] == ends[1]:
        return ends, left, None
    if size is None:
        return None
    outputs = (size + 2 * padding - reach - 1) // stride + 1
    if left >= 0:
        return (ends, left, None) if (size + 2 * left - extent - 1) // stride + 1 == outputs else None
    end = -left + (outputs - 1) * stride + extent + 1
    return (ends, 0, (-left, end)) if end <= size else None
