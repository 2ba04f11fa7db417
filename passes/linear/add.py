"""One operator that stands for several in parallel, their outputs summed."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from math import gcd

from torch import Tensor

from nascc.passes.linear import border
from nascc.passes.linear.compose import Repair
from nascc.passes.linear.embed import embed, tidy, union, with_groups
from nascc.passes.linear.gain import same
from nascc.passes.linear.operator import Operator, Refusal, Sizes
from nascc.passes.linear.threads import pinned


@pinned
def add(ops: Sequence[Operator], size: Sizes | None = None, repair: Repair = Repair.NONE) -> Operator | Refusal:
    """x -> sum of op(x) as one operator, for inputs of `size` (None entries: any size).

    Kernels are embedded on the union of their taps, so that size, dilation and padding may differ as long as strides
    and output sizes agree; an identity becomes a Dirac kernel. Groups meet in their greatest common divisor.
    """
    aligned = align(ops, size, repair)
    if isinstance(aligned, Refusal):
        return aligned
    if len({op.c_out for op in aligned}) > 1:
        return Refusal(f"branches give different channels: {[op.c_out for op in aligned]}")
    groups = reduce(gcd, (op.groups for op in aligned))
    return tidy(reduce(_plus, (with_groups(op, groups) for op in aligned)))


def align(ops: Sequence[Operator], size: Sizes | None, repair: Repair) -> tuple[Operator, ...] | Refusal:
    """The operators on one grid of taps, with one extent and one pad value, or why they do not share those."""
    size = (None,) * ops[0].rank if size is None else size
    if (why := _mismatch(ops, size)) is not None:
        return Refusal(why)
    filled = _one_pad_value(ops, size, repair)
    if isinstance(filled, Refusal):
        return filled
    grid = union(op.offsets for op in filled)
    extent = tuple(max(e) for e in zip(*(op.extent for op in filled), strict=True))
    return tuple(_on_grid(op, grid, extent) for op in filled)


def _mismatch(ops: Sequence[Operator], size: Sizes) -> str | None:
    first = ops[0]
    for op in ops:
        if (op.c_in, op.rank) != (first.c_in, first.rank):
            return "branches do not read the same input"
        if (op.up, op.down) != (first.up, first.down):
            return f"branches have different strides: {first.down} and {op.down}, upsampling {first.up} and {op.up}"
        for n, a, b in zip(size, first.extent, op.extent, strict=True):
            if a != b and (n is None or first.out_size(size) != op.out_size(size)):
                return f"branches give different sizes: {first.out_size(size)} and {op.out_size(size)} from {size}"
        if any(n is not None and n < 1 for n in op.out_size(size)):
            return f"a kernel is larger than its padded input of size {size}"
    return None


def _one_pad_value(ops: Sequence[Operator], size: Sizes, repair: Repair) -> tuple[Operator, ...] | Refusal:
    """All with the pad value of those that read beyond the border, or all with zeros and a channel of ones."""
    padded = [op for op in ops if border.is_padded(op, size)]
    if not padded:
        return tuple(replace(op, pad_value=None) for op in ops)
    if all(same(op.pad_value_or_zeros, padded[0].pad_value_or_zeros) for op in padded):
        return tuple(replace(op, pad_value=padded[0].pad_value) for op in ops)
    if repair is not Repair.ONES:
        return Refusal("branches pad with different values: exact only with a border map or a channel of ones")
    return tuple(border.fill_as_ones(op) if op in padded else replace(op, pad_value=None) for op in ops)


def _on_grid(op: Operator, grid: tuple[tuple[int, ...], ...], extent: tuple[int, ...]) -> Operator:
    ones = None if op.ones is None else embed(op.ones.unsqueeze(1), op.offsets, grid)[:, 0]
    return replace(op, kernel=embed(op.kernel, op.offsets, grid), ones=ones, offsets=grid, extent=extent)


def _plus(a: Operator, b: Operator) -> Operator:
    kernel, ones, remembered = a.kernel, a.ones, None
    if a.is_outline or b.is_outline:
        ones = b.ones if ones is None else ones
        gain = None if a.gain is None or b.gain is None else a.gain + b.gain
        remembered = (gain, a.support | b.support)
    else:
        kernel, ones = a.kernel + b.kernel, _sum(a.ones, b.ones)
    return replace(a, kernel=kernel, bias=_sum(a.bias, b.bias), ones=ones, remembered=remembered)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b
