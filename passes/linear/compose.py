"""One operator that stands for two in a row, exact up to the last border pixel, or the reason why there is none."""

from dataclasses import replace
from enum import Enum

import torch
from torch import Tensor

from nascc.passes.cancellation import without_residue
from nascc.passes.linear import border
from nascc.passes.linear.channels import multiply, regroup
from nascc.passes.linear.embed import Grid, coarsen, convolve, embed, tidy, union
from nascc.passes.linear.operator import Operator, Refusal, Sizes
from nascc.passes.linear.threads import pinned


class Repair(Enum):
    """What may be done where the second's padding meets the first's bias."""

    NONE = "none"
    """Nothing: the composition is refused there."""
    ONES = "ones"
    """The bias moves to a channel of ones (`Operator.ones`), to be deployed as a map, a tile or that channel."""
    PAD_VALUE = "pad_value"
    """The composite is padded with what the first maps to the second's padding, where that exists."""


@pinned
def compose(
    second: Operator, first: Operator, size: Sizes | None = None, repair: Repair = Repair.NONE
) -> Operator | Refusal:
    """second(first(x)) as one operator, for inputs of `size` (None entries: any size).

    Strides, kernels and paddings follow W = sum over b of W2[b] W1[a] at taps down1 * b + up2 * a, extent
    up2 * extent1 + down1 * extent2. Exact iff nothing that the second reads beyond the border of the first's output
    would, in the composite, depend on pixels, and the constant it reads there is the one the composite gives, which
    `repair` may see to. Groups that nest stay; others meet in their greatest common divisor and are looked for again.
    """
    size = (None,) * first.rank if size is None else size
    if (why := _mismatch(second, first, size)) is not None:
        return Refusal(why)
    if border.depends_on_data(second, first, size):
        return Refusal(
            "the second's padding lies where the first's formula still sees pixels: the border depends on data "
            "(padding must be all on the first, or the first must be 1x1 and unpadded)"
        )
    if first.pad_value is not None and any(u > 1 for u in second.up):
        if repair is not Repair.ONES:
            return Refusal("a transposed convolution has no padding that could hold the first's pad value")
        first = border.fill_as_ones(first)
    prepared = _prepare(second, first, size, repair)
    if isinstance(prepared, Refusal):
        return prepared
    composite = tidy(coarsen(_product(second, prepared, size)))
    if any(u > 1 for u in composite.up) and any(d > 1 for d in composite.down):
        return Refusal(f"resampling by {composite.up} / {composite.down} is neither a convolution nor a transposed one")
    return composite if border.is_padded(composite, size) else replace(composite, pad_value=None)


def _mismatch(second: Operator, first: Operator, size: Sizes) -> str | None:
    """Why the two can not follow each other on this grid at all."""
    if second.rank != first.rank or second.c_in != first.c_out:
        return (
            f"the first gives {first.c_out} channels of rank {first.rank}, "
            f"the second takes {second.c_in} of rank {second.rank}"
        )
    middle = first.out_size(size)
    for stage in (middle, second.out_size(middle)):
        if any(n is not None and n < 1 for n in stage):
            return f"a kernel is larger than its padded input: size {size} becomes {stage}"
    if any(d > 1 and u > 1 for d, u in zip(first.down, second.up, strict=True)):
        return "a stride before an upsampling leaves pixels out that no single kernel leaves out"
    return None


def _prepare(second: Operator, first: Operator, size: Sizes, repair: Repair) -> Operator | Refusal:
    """The first with bias, pad value and ones such that the plain product with the second is exact."""
    if second.ones is not None and border.unit_taps(first, size) is None:
        return Refusal("the second carries a border correction for an image that is not the first's input, moved")
    if not border.is_padded(second, first.out_size(size)):
        return _constant(second, first, size, repair)
    missing = border.shortfall(second, first)
    if missing is None:
        return _constant(second, first, size, repair)
    if repair is Repair.PAD_VALUE:
        return _pad_with_solution(second, first, size)
    if repair is Repair.ONES:
        return _on_ones(first, first.bias_or_zeros + missing, -missing, size)
    return Refusal(
        "the first's bias does not reach the second's padding: exact only with a border map, a border tile, "
        "a channel of ones or a pad value"
    )


def _constant(second: Operator, first: Operator, size: Sizes, repair: Repair) -> Operator | Refusal:
    """The first as it is, if the second maps its constants to constants; else its bias on a channel of ones."""
    if second.gain is not None or first.bias is None:
        return first
    if repair is Repair.ONES:
        return _on_ones(first, None, first.bias, size)
    return Refusal(
        "upsampling turns the first's bias into a pattern: exact only with a border map or a channel of ones"
    )


def _pad_with_solution(second: Operator, first: Operator, size: Sizes) -> Operator | Refusal:
    if border.is_padded(first, size):
        return Refusal("pad_value needs a first operator without padding of its own")
    if any(u > 1 for u in (*first.up, *second.up)):
        return Refusal("pad_value can not fill the zeros of a transposed convolution")
    solution = border.solve_padding(first, second.pad_value_or_zeros)
    return solution if isinstance(solution, Refusal) else replace(first, pad_value=solution)


def _on_ones(first: Operator, bias: Tensor | None, moved: Tensor, size: Sizes) -> Operator | Refusal:
    """The first with `bias`, and `moved` [C_out] given by a channel of ones instead."""
    taps = border.unit_taps(first, size)
    if taps is None:
        return Refusal(
            "the first's bias can not ride on a channel of ones: its output is not its input's outline, moved"
        )
    grid = union([first.offsets, taps])
    unit = _unit(taps)
    spread = moved.reshape(-1, *[1] * (first.rank + 1)) * unit
    if first.is_outline:
        kernel = first.kernel.new_empty(*first.kernel.shape[:2], *(len(t) for t in grid))
        return replace(
            first, kernel=kernel, offsets=grid, bias=bias, ones=kernel.new_empty(first.c_out, *kernel.shape[2:])
        )
    ones = embed(spread, taps, grid)[:, 0]
    if first.ones is not None:
        ones = ones + embed(first.ones.unsqueeze(1), first.offsets, grid)[:, 0]
    return replace(first, kernel=embed(first.kernel, first.offsets, grid), offsets=grid, bias=bias, ones=ones)


def _unit(taps: Grid) -> Tensor:
    return torch.ones(1, 1, *(len(t) for t in taps), dtype=torch.float64)


def _product(second: Operator, first: Operator, size: Sizes) -> Operator:
    """The plain product: kernels convolved, constants through the second's gain."""
    outer, inner = _scaled(second.offsets, first.down), _scaled(first.offsets, second.up)
    kernel, grid = convolve(second.kernel, second.groups, outer, first.kernel, first.groups, inner)
    ones, grid_of_ones = _ones(second, first, size)
    grid, own = union([grid, grid_of_ones or grid]), grid
    return Operator(
        kernel=embed(kernel, own, grid),
        offsets=grid,
        up=tuple(a * b for a, b in zip(first.up, second.up, strict=True)),
        down=tuple(a * b for a, b in zip(first.down, second.down, strict=True)),
        extent=_extent(second, first),
        groups=first.c_in // kernel.shape[1],
        bias=_bias(second, first),
        pad_value=first.pad_value,
        ones=None if ones is None else embed(ones, grid_of_ones, grid)[:, 0],
        multiple=first.multiple or (second.multiple if first.keeps_size else ()),
        remembered=_remembered(second, first) if kernel.is_meta else None,
    )


def _ones(second: Operator, first: Operator, size: Sizes) -> tuple[Tensor | None, Grid]:
    """The composite's kernel on the channel of ones [O, 1, *taps]: the first's through the second, and the second's."""
    parts: list[tuple[Tensor, Grid]] = []
    outer = _scaled(second.offsets, first.down)
    if first.ones is not None:
        inner = _scaled(first.offsets, second.up)
        parts.append(convolve(second.kernel, second.groups, outer, first.ones.unsqueeze(1), 1, inner))
    if second.ones is not None and (unit := border.unit_taps(first, size)) is not None:
        parts.append(convolve(second.ones.unsqueeze(1), 1, outer, _unit(unit), 1, _scaled(unit, second.up)))
    if not parts:
        return None, ()
    grid = union(taps for _, taps in parts)
    total = embed(*parts[0], grid)
    for part in parts[1:]:
        total = total + embed(*part, grid)
    return total, grid


def _scaled(taps: Grid, by: tuple[int, ...]) -> Grid:
    return tuple(tuple(tap * factor for tap in t) for t, factor in zip(taps, by, strict=True))


def _extent(second: Operator, first: Operator) -> tuple[int, ...]:
    dims = zip(second.up, first.extent, first.down, second.extent, strict=True)
    return tuple(u2 * e1 + d1 * e2 for u2, e1, d1, e2 in dims)


def _bias(second: Operator, first: Operator) -> Tensor | None:
    if first.bias is None or second.gain is None:
        return second.bias
    own, gain = second.bias_or_zeros, regroup(second.gain, second.groups, 1)
    through = gain @ first.bias
    return without_residue(own + through, own.abs() + gain.abs() @ first.bias.abs())


def _remembered(second: Operator, first: Operator) -> tuple[Tensor | None, Tensor]:
    gain = None
    if second.gain is not None and first.gain is not None:
        gain = multiply(second.gain, second.groups, first.gain, first.groups)
    paths = multiply(second.support.float(), second.groups, first.support.float(), first.groups)
    return gain, paths > 0
