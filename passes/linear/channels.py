"""Channel groups: products of grouped matrices, groups taken apart, and blocks found again."""

from math import gcd

import torch
from torch import Tensor


def regroup(kernel: Tensor, groups: int, fewer: int) -> Tensor:
    """The same map with `fewer` groups (a divisor of `groups`): [O, I / groups, *t] -> [O, I / fewer, *t]."""
    if groups == fewer:
        return kernel
    merged, (out, inner) = groups // fewer, kernel.shape[:2]
    if kernel.is_meta:
        return kernel.new_empty(out, merged * inner, *kernel.shape[2:])
    wide = kernel.new_zeros(fewer, merged, out // groups, merged, inner, *kernel.shape[2:])
    blocks = kernel.reshape(fewer, merged, out // groups, inner, *kernel.shape[2:])
    for k in range(merged):
        wide[:, k, :, k] = blocks[:, k]
    return wide.reshape(out, merged * inner, *kernel.shape[2:])


def multiply(second: Tensor, second_groups: int, first: Tensor, first_groups: int) -> Tensor:
    """Matrix product over channels: [O, H / g2] x [H, I / g1, *t] -> [O, I / gcd(g1, g2), *t].

    Groups that nest stay the coarser of the two; others meet in their greatest common divisor.
    """
    groups = gcd(first_groups, second_groups)
    if groups not in (first_groups, second_groups):
        return multiply(second, second_groups, regroup(first, first_groups, groups), groups)
    if first.is_meta or second.is_meta:
        inner = first.shape[1] * first_groups // groups
        return torch.empty(second.shape[0], inner, *first.shape[2:], dtype=first.dtype, device="meta")
    flat = first.reshape(*first.shape[:2], -1)
    finer = _second_finer if groups == first_groups else _first_finer
    product = finer(second, second_groups, flat, first_groups)
    return product.reshape(second.shape[0], -1, *first.shape[2:])


def _second_finer(second: Tensor, groups: int, first: Tensor, first_groups: int) -> Tensor:
    """Each group of the second lies within one group of the first."""
    if second.shape[1] == 1:
        repeat = second.shape[0] // groups
        return second.unsqueeze(-1) * first.repeat_interleave(repeat, dim=0)
    if groups == 1 and (picked := _picked(second, first)) is not None:
        return picked
    inner, taps = first.shape[1:]
    left = second.reshape(groups, -1, second.shape[1])
    right = first.reshape(groups, second.shape[1], inner * taps)
    return torch.bmm(left, right).reshape(second.shape[0], inner, taps)


def _first_finer(second: Tensor, groups: int, first: Tensor, first_groups: int) -> Tensor:
    """Each group of the second holds several whole groups of the first."""
    ratio, (hidden, inner, taps) = first_groups // groups, first.shape
    left = second.reshape(groups, -1, ratio, hidden // first_groups).transpose(1, 2)
    right = first.reshape(groups, ratio, hidden // first_groups, inner * taps)
    product = torch.matmul(left, right).reshape(groups, ratio, -1, inner, taps)
    return product.transpose(1, 2).reshape(second.shape[0], ratio * inner, taps)


def _picked(second: Tensor, first: Tensor) -> Tensor | None:
    """The product when every row of the second reads one channel at most: a permutation, a slice, a scale."""
    nonzero = second != 0
    if int(nonzero.sum(1).max()) > 1:
        return None
    rows = nonzero.to(torch.uint8).argmax(1)
    return first.index_select(0, rows) * second.gather(1, rows.unsqueeze(1)).unsqueeze(-1)


def blocks(support: Tensor, groups: int) -> int:
    """The finest grouping that `support` [O, I / groups] allows; `groups` itself when nothing finer does."""
    out, inner = support.shape[0] // groups, support.shape[1]
    limit = gcd(out, inner)
    if limit == 1 or bool(support.all()):
        return groups
    finer = [k for k in range(limit, 1, -1) if limit % k == 0]
    return groups * next((k for k in finer if _is_diagonal(support, groups, k)), 1)


def _is_diagonal(support: Tensor, groups: int, k: int) -> bool:
    out, inner = support.shape[0] // groups, support.shape[1]
    parts = support.reshape(groups, k, out // k, k, inner // k).any(4).any(2)
    return not bool((parts & ~torch.eye(k, dtype=torch.bool)).any())


def diagonal_blocks(kernel: Tensor, groups: int, more: int) -> Tensor:
    """The inverse of `regroup`: [O, I / groups, *t] -> [O, I / more, *t], keeping the diagonal blocks."""
    if groups == more:
        return kernel
    ratio, (out, inner) = more // groups, kernel.shape[:2]
    parts = kernel.reshape(groups, ratio, out // more, ratio, inner // ratio, *kernel.shape[2:])
    kept = torch.stack([parts[:, k, :, k] for k in range(ratio)], dim=1)
    return kept.reshape(out, inner // ratio, *kernel.shape[2:])
