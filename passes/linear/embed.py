"""Kernels on a common grid of taps: embedded into a larger one, cropped to what is not zero."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise, product
from math import gcd

import torch
from torch import Tensor

from nascc.passes.linear.channels import blocks, diagonal_blocks, multiply, regroup
from nascc.passes.linear.gain import support_of
from nascc.passes.linear.operator import Ints, Operator

Grid = tuple[Ints, ...]


def union(grids: Iterable[Grid]) -> Grid:
    """The taps that any of the grids has, ascending, for each dimension."""
    return tuple(tuple(sorted(set().union(*taps))) for taps in zip(*grids, strict=True))


def embed(kernel: Tensor, taps: Grid, grid: Grid) -> Tensor:
    """`kernel` [O, I, *taps] on a grid that holds all of its taps, [O, I, *grid]; zeros elsewhere."""
    if taps == grid:
        return kernel
    wide = kernel.new_zeros(*kernel.shape[:2], *(len(t) for t in grid))
    if not kernel.is_meta:
        add_at(wide, kernel, tuple(_positions(t, g) for t, g in zip(taps, grid, strict=True)))
    return wide


def add_at(target: Tensor, piece: Tensor, positions: tuple[Ints, ...]) -> None:
    """Add `piece` [O, I, *p] to `target` at distinct positions along each dimension, in place."""
    everywhere: tuple[slice | Tensor, ...] = (slice(None), slice(None))
    evenly = [_slice(p) for p in positions]
    if None not in evenly:
        target[(*everywhere, *(e for e in evenly if e is not None))] += piece
        return
    rank = len(positions)
    index = [torch.tensor(p).reshape([-1 if d == k else 1 for d in range(rank)]) for k, p in enumerate(positions)]
    target[(*everywhere, *index)] += piece


def _slice(positions: Ints) -> slice | None:
    """The positions as a slice if they are evenly spaced."""
    steps = {b - a for a, b in pairwise(positions)} or {1}
    return slice(positions[0], positions[-1] + 1, steps.pop()) if len(steps) == 1 else None


def _positions(taps: Ints, grid: Ints) -> Ints:
    where = {tap: k for k, tap in enumerate(grid)}
    return tuple(where[tap] for tap in taps)


def convolve(
    second: Tensor, second_groups: int, second_taps: Grid, first: Tensor, first_groups: int, first_taps: Grid
) -> tuple[Tensor, Grid]:
    """Full convolution of two kernels, a matrix product at every pair of taps.

    second [O, H / g2, *t2], first [H, I / g1, *t1] -> [O, I / gcd(g1, g2), *t], t every sum of two taps. The order
    of the additions is fixed.
    """
    pairs = list(zip(second_taps, first_taps, strict=True))
    grid = tuple(tuple(sorted({a + b for a in later for b in earlier})) for later, earlier in pairs)
    groups = gcd(first_groups, second_groups)
    shape = (second.shape[0], first.shape[1] * first_groups // groups, *(len(t) for t in grid))
    if second.is_meta or first.is_meta:
        return torch.empty(shape, dtype=first.dtype, device="meta"), grid
    out, where = first.new_zeros(shape), [{tap: k for k, tap in enumerate(g)} for g in grid]
    for at in product(*(range(len(t)) for t in second_taps)):
        tap: tuple[slice | int, ...] = (slice(None), slice(None), *at)
        piece = multiply(second[tap], second_groups, first, first_groups)
        dims = zip(at, second_taps, first_taps, where, strict=True)
        add_at(out, piece, tuple(tuple(w[t[k] + b] for b in early) for k, t, early, w in dims))
    return out, grid


def coarsen(op: Operator) -> Operator:
    """The same operator with up and down divided by what they share: taps between the input pixels read zeros only."""
    shared = tuple(gcd(u, d) for u, d in zip(op.up, op.down, strict=True))
    kernel, ones, grid = op.kernel, op.ones, []
    for dim, (taps, g) in enumerate(zip(op.offsets, shared, strict=True)):
        kept = [k for k, tap in enumerate(taps) if tap % g == 0]
        kernel, ones = _select(kernel, dim + 2, kept), None if ones is None else _select(ones, dim + 1, kept)
        grid.append(tuple(taps[k] // g for k in kept) or (0,))
    up, down, extent = (
        tuple(v // g for v, g in zip(values, shared, strict=True)) for values in (op.up, op.down, op.extent)
    )
    return replace(op, kernel=kernel, ones=ones, offsets=tuple(grid), up=up, down=down, extent=extent)


def _select(kernel: Tensor, dim: int, kept: list[int]) -> Tensor:
    """The kept taps along `dim`; a single tap of zeros when none is."""
    if len(kept) == kernel.shape[dim]:
        return kernel
    if not kept:
        return kernel.narrow(dim, 0, 1) * 0
    return kernel.index_select(dim, torch.tensor(kept, device=kernel.device))


def crop(op: Operator) -> Operator:
    """The same operator without taps that are zero for every channel, wherever they lie; at least one tap stays."""
    if op.is_outline:
        return op
    alive = (op.kernel != 0).flatten(0, 1).any(0)
    if op.ones is not None:
        alive |= (op.ones != 0).any(0)
    kernel, ones, grid = op.kernel, op.ones, []
    for dim, taps in enumerate(op.offsets):
        along = alive.movedim(dim, 0).flatten(1).any(1) if op.rank > 1 else alive
        kept = [k for k, keep in enumerate(along.tolist()) if keep] or [0]
        kernel, ones = _select(kernel, dim + 2, kept), None if ones is None else _select(ones, dim + 1, kept)
        grid.append(tuple(taps[k] for k in kept))
    return replace(op, kernel=kernel, ones=ones, offsets=tuple(grid))


def tidy(op: Operator) -> Operator:
    """The same operator in its smallest form: zero taps cropped, channel blocks found again, zero vectors dropped."""
    op = crop(op)
    if not _first_output_reads_all(op) and (groups := blocks(op.support, op.groups)) != op.groups:
        op = with_groups(op, groups)
    return replace(op, bias=_or_none(op.bias), pad_value=_or_none(op.pad_value), ones=_or_none(op.ones))


def _first_output_reads_all(op: Operator) -> bool:
    """Does the first output read every channel of its group? Then there is no finer block to find."""
    first = op.support[0] if op.is_outline else support_of(op.kernel[:1])[0]
    return bool(first.all())


def with_groups(op: Operator, groups: int) -> Operator:
    """The same operator with more or fewer groups; more only where the blocks off the diagonal are zero."""
    change = regroup if groups < op.groups else diagonal_blocks
    low_to_high = (op.groups, groups)
    remembered = None
    if op.remembered is not None:
        gain, support = op.remembered
        remembered = (None if gain is None else change(gain, *low_to_high), change(support, *low_to_high))
    if op.is_outline:
        shape = (op.c_out, op.c_in // groups, *op.kernel.shape[2:])
        kernel = op.kernel.new_empty(shape)
    else:
        kernel = change(op.kernel, *low_to_high)
    return replace(op, kernel=kernel, groups=groups, remembered=remembered)


def _or_none(vector: Tensor | None) -> Tensor | None:
    """None for zeros whose values are known."""
    return None if vector is not None and not vector.is_meta and not bool(vector.any()) else vector
