"""Which channel each channel of a reshaped value was: groups of dimensions with equal products are treated apart."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nascc.passes import graph as g
from nascc.passes.channels.facts import positions

Sizes = Sequence[Any]
Group = tuple[int, int, int, int]
"""Dimensions [a, b) of the value become dimensions [c, d) of the result."""


def reshaped(layout: tuple[int, ...], sizes: Sizes, into: Sizes) -> Tensor | None:
    """For a value of `sizes` with a layout, reshaped `into` others: the old channel of each channel of the result.

    None where a size that is open would be joined or split together with channels that are told apart.
    """
    groups = matching(sizes, into)
    if groups is None:
        return None
    index = torch.zeros((1,) * len(into), dtype=torch.long)
    for a, b, c, d in groups:
        part = _group(layout[a:b], sizes[a:b], into[c:d])
        if part is None:
            return None
        stride = math.prod(layout[b:])
        index = index + (part * stride).reshape((1,) * c + tuple(part.shape) + (1,) * (len(into) - d))
    return index


def matching(sizes: Sizes, into: Sizes) -> list[Group] | None:
    """The shortest groups of dimensions, front to back, that hold equally many elements; None where that is open."""
    groups: list[Group] = []
    a = c = 0
    while a < len(sizes) and c < len(into):
        ends = _first_match(sizes, into, a, c)
        if ends is None:
            break
        groups.append((a, ends[0], c, ends[1]))
        a, c = ends
    if not groups:
        return None if len(sizes) and len(into) else [(0, len(sizes), 0, len(into))]
    rest = (*sizes[a:], *into[c:])
    if not all(g.same(s, 1) for s in rest):
        return None
    first = groups[-1]
    groups[-1] = (first[0], len(sizes), first[2], len(into))
    return groups


def _first_match(sizes: Sizes, into: Sizes, a: int, c: int) -> tuple[int, int] | None:
    ends = [(b, d) for b in range(a + 1, len(sizes) + 1) for d in range(c + 1, len(into) + 1)]
    for b, d in sorted(ends, key=lambda end: (sum(end), end)):
        if g.same(math.prod(sizes[a:b]), math.prod(into[c:d])):
            return b, d
    return None


def _group(layout: tuple[int, ...], sizes: Sizes, into: Sizes) -> Tensor | None:
    if all(size == 1 for size in layout):
        return torch.zeros((1,) * len(into), dtype=torch.long)
    whole = [k for k, s in enumerate(sizes) if not g.same(s, 1)]
    kept = [k for k, s in enumerate(into) if not g.same(s, 1)]
    if len(whole) == len(kept) == 1:
        shape = [layout[whole[0]] if k == kept[0] else 1 for k in range(len(into))]
        return positions(layout).reshape(shape)
    if not all(isinstance(s, int) for s in (*sizes, *into)):
        return None
    return _compact(positions(layout).expand(tuple(sizes)).reshape(tuple(into)))


def _compact(index: Tensor) -> Tensor:
    """Dimensions along which nothing changes become 1."""
    for dim in range(index.ndim):
        first = index.narrow(dim, 0, 1)
        if index.shape[dim] > 1 and bool((index == first).all()):
            index = first
    return index
