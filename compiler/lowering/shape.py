"""Operators that only rearrange: reshape, axes, permute, joins, splits, slices, repeats."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from nascc.compiler.lowering.dtypes import cast
from nascc.compiler.lowering.layout import expand, reshape, squeeze, transpose, unsqueeze
from nascc.compiler.lowering.pieces import INT64_MAX, concat, gather, slice_axis, split
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Dim, Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten


def to_recorded_shape(w: Writer, x: Value, *details: Any) -> Value:
    """reshape, view, flatten, unflatten: whatever leads to the recorded shape."""
    return reshape(w, x, w.out.shape)


def squeeze_axes(w: Writer, x: Value, dims: Sequence[int] | int | None = None) -> Value:
    """Drop the axes of size 1 among those named (all of them if none is)."""
    named = range(x.rank) if dims is None else [dims] if isinstance(dims, int) else dims
    return squeeze(w, x, sorted({d % max(x.rank, 1) for d in named if x.rank and x.shape[d] == 1}))


def unsqueeze_axis(w: Writer, x: Value, dim: int) -> Value:
    """Insert an axis of size 1."""
    return unsqueeze(w, x, [dim % (x.rank + 1)])


def permute(w: Writer, x: Value, dims: Sequence[int]) -> Value:
    """Reorder the axes."""
    return transpose(w, x, [d % x.rank for d in dims])


def transpose_two(w: Writer, x: Value, a: int, b: int) -> Value:
    """Exchange two axes."""
    perm = list(range(x.rank))
    if perm:
        perm[a], perm[b] = perm[b], perm[a]
    return transpose(w, x, perm)


def matrix_transpose(w: Writer, x: Value) -> Value:
    """Exchange the last two axes."""
    return transpose_two(w, x, -2, -1) if x.rank > 1 else x


def reversed_axes(w: Writer, x: Value) -> Value:
    """All axes in reverse order."""
    return transpose(w, x, range(x.rank)[::-1])


def expand_to_recorded(w: Writer, x: Value, *details: Any, implicit: bool = False) -> Value:
    """expand, expand_as, broadcast_to."""
    return expand(w, x, w.out.shape)


def cat(w: Writer, values: Sequence[Value], dim: int = 0) -> Value:
    """Join along an axis; torch's empty vectors count for nothing."""
    parts = [cast(w, v, w.out.dtype) for v in values if v.shape != (0,)]
    return concat(w, parts, dim % parts[0].rank, w.out.shape)


def stack(w: Writer, values: Sequence[Value], dim: int = 0) -> Value:
    """Join along a new axis."""
    axis = dim % (values[0].rank + 1)
    return concat(w, [unsqueeze(w, cast(w, v, w.out.dtype), [axis]) for v in values], axis, w.out.shape)


def at_least(rank: int, w: Writer, values: Sequence[Value]) -> tuple[Value, ...]:
    """atleast_2d and its kin over several tensors: sizes of 1 put where torch puts them."""
    return tuple(reshape(w, v, spec.shape) for v, spec in zip(values, w.outs, strict=True))


def join_at(axis: int, rank: int, w: Writer, values: Sequence[Value]) -> Value:
    """hstack, vstack, dstack, column_stack: at least `rank` axes, joined along one."""
    wide = [_of_rank(w, cast(w, v, w.out.dtype), rank, column=axis == 1) for v in values]
    return concat(w, wide, 0 if axis == 1 and wide[0].rank == 1 else axis, w.out.shape)


def _of_rank(w: Writer, x: Value, rank: int, column: bool) -> Value:
    if x.rank >= rank:
        return x
    if x.rank == 1 and rank == 2:
        return unsqueeze(w, x, [1] if column else [0])
    return unsqueeze(w, x, [0, 2] if x.rank == 1 else [2]) if x.rank else reshape(w, x, (1,) * rank)


def broadcast_tensors(w: Writer, values: Sequence[Value]) -> tuple[Value, ...]:
    """Each expanded to the common shape."""
    return tuple(expand(w, v, w.out.shape) for v in values)


def meshgrid(w: Writer, values: Sequence[Value], indexing: str = "ij") -> tuple[Value, ...]:
    """Every vector along an axis of its own, repeated along the others."""
    order = [1, 0, *range(2, len(values))] if indexing == "xy" and len(values) > 1 else range(len(values))
    shape = w.out.shape
    return tuple(
        expand(w, reshape(w, v, tuple(d if i == axis else 1 for i, d in enumerate(shape))), shape)
        for v, axis in zip(values, order, strict=True)
    )


def split_with_sizes(w: Writer, x: Value, sizes: Sequence[int], dim: int = 0) -> tuple[Value, ...]:
    """Cut along an axis into parts of given sizes."""
    if any(not isinstance(size, int) for size in sizes):
        raise Refusal("splits into sizes known only at run time")
    return split(w, x, sizes, dim % x.rank)


def split_evenly(w: Writer, x: Value, size: int, dim: int = 0) -> tuple[Value, ...]:
    """Cut along an axis into the recorded parts."""
    axis = dim % x.rank
    return split_with_sizes(w, x, [spec.shape[axis] for spec in w.outs], axis)  # type: ignore[misc]


def unbind(w: Writer, x: Value, dim: int = 0) -> tuple[Value, ...]:
    """One value for each place along an axis."""
    axis = dim % x.rank
    return tuple(gather(w, x, w.scalar(i, torch.int64), axis) for i in range(len(w.outs)))


def select(w: Writer, x: Value, dim: int, index: int | Value) -> Value:
    """The value at one place along an axis."""
    axis = dim % x.rank
    if isinstance(index, Value):
        return gather(w, x, squeeze(w, index, [0]), axis)
    size = x.shape[axis]
    at = index + size if index < 0 and isinstance(size, int) else index
    return gather(w, x, w.scalar(at, torch.int64), axis)


def slice_tensor(
    w: Writer, x: Value, dim: int = 0, start: int | Value | None = None, end: int | Value | None = None, step: int = 1
) -> Value:
    """x[start:end:step] along an axis."""
    axis = dim % x.rank
    size = x.shape[axis]
    first, last = _bound(0 if start is None else start, size), _bound(INT64_MAX if end is None else end, size)
    return slice_axis(w, x, axis, first, last, step, w.out.shape[axis])


def _bound(at: int | Value, size: Dim) -> int | Value:
    """A slice bound counted from the front and inside the axis, where the size is known."""
    if isinstance(at, Value) or isinstance(size, str):
        return at
    return min(max(at + size if at < 0 else at, 0), size)


def slice_scatter(
    w: Writer, x: Value, source: Value, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Value:
    """x with x[start:end] along an axis replaced by the source."""
    axis = dim % x.rank
    size = x.shape[axis]
    if not isinstance(size, int):
        raise Refusal("writes into an axis of dynamic size")
    first, last = _bound(start or 0, size), _bound(INT64_MAX if end is None else end, size)
    if not isinstance(first, int) or not isinstance(last, int):
        raise Refusal("writes into a range known only at run time")
    if step != 1:
        return _strided_scatter(w, x, source, axis, range(first, last, step))
    parts = [expand(w, source, (*x.shape[:axis], last - first, *x.shape[axis + 1 :]))]
    if first > 0:
        parts.insert(0, slice_axis(w, x, axis, 0, first, 1, first))
    if last < size:
        parts.append(slice_axis(w, x, axis, last, size, 1, size - last))
    return concat(w, parts, axis, w.out.shape)


def _strided_scatter(w: Writer, x: Value, source: Value, axis: int, places: range) -> Value:
    """Both joined, then every place taken from where its value is."""
    size = int(x.shape[axis])
    source = expand(w, source, (*x.shape[:axis], len(places), *x.shape[axis + 1 :]))
    both = concat(w, [x, source], axis, (*x.shape[:axis], size + len(places), *x.shape[axis + 1 :]))
    order = torch.arange(size)
    order[list(places)] = torch.arange(size, size + len(places))
    return gather(w, both, w.literal(order, torch.int64), axis)


def select_scatter(w: Writer, x: Value, source: Value, dim: int, index: int) -> Value:
    """x with one place along an axis replaced by the source."""
    axis = dim % x.rank
    size = x.shape[axis]
    if not isinstance(size, int):
        raise Refusal("writes into an axis of dynamic size")
    return slice_scatter(w, x, unsqueeze(w, source, [axis]), axis, index % size, index % size + 1)


def repeat(w: Writer, x: Value, repeats: Sequence[int | Value]) -> Value:
    """The whole tensor over and over along each axis."""
    x = unsqueeze(w, x, list(range(len(repeats) - x.rank)))
    if all(r == 1 for r in repeats):
        return x
    return w.emit("Tile", x, w.sizes(repeats), dtype=x.dtype)


def repeat_each(w: Writer, x: Value, repeats: int, dim: int | None = None, output_size: Any = None) -> Value:
    """Every element over and over along an axis."""
    if not isinstance(repeats, int):
        raise Refusal("repeats by counts known only at run time")
    if dim is None:
        x, dim = reshape(w, x, (_flat(w, repeats),)), 0
    axis = dim % x.rank
    if repeats == 1:
        return x
    wide = unsqueeze(w, x, [axis + 1])
    many = expand(w, wide, (*x.shape[: axis + 1], repeats, *x.shape[axis + 1 :]))
    return reshape(w, many, w.out.shape)


def _flat(w: Writer, repeats: int) -> Dim:
    (size,) = w.out.shape
    return size // repeats if isinstance(size, int) else f"{size} / {repeats}"


def roll(w: Writer, x: Value, shifts: Sequence[int], dims: Sequence[int] = ()) -> Value:
    """Shifted around along axes: cut in two, joined the other way round."""
    if not dims:
        return reshape(w, roll(w, reshape(w, x, (_elements(x),)), shifts, [0]), x.shape)
    for shift, dim in zip(shifts, dims, strict=True):
        size = x.shape[dim]
        if not isinstance(size, int):
            raise Refusal("rolls an axis of dynamic size")
        if shift % size:
            front, back = split(w, x, [size - shift % size, shift % size], dim % x.rank)
            x = concat(w, [back, front], dim % x.rank, x.shape)
    return x


def _elements(x: Value) -> Dim:
    if not x.is_static:
        raise Refusal("flattens a tensor of dynamic shape to roll it")
    return int(torch.tensor(x.shape).prod())


def flip(w: Writer, x: Value, dims: Sequence[int]) -> Value:
    """Reversed along axes."""
    axes = [d % x.rank for d in dims]
    if not axes:
        return x
    ends, back = w.ints([-INT64_MAX] * len(axes)), w.ints([-1] * len(axes))
    return w.emit("Slice", x, w.ints([-1] * len(axes)), ends, w.ints(axes), back, dtype=x.dtype)


def diagonal(w: Writer, x: Value, offset: int = 0, first: int = 0, second: int = 1) -> Value:
    """Elements (i, i + offset) of two axes, as a new last axis."""
    axes = [first % x.rank, second % x.rank]
    rows, columns = (x.shape[a] for a in axes)
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise Refusal("takes a diagonal of dynamic size")
    rest = [a for a in range(x.rank) if a not in axes]
    flat = reshape(w, transpose(w, x, rest + axes), (*(x.shape[a] for a in rest), rows * columns))
    places = torch.arange(rows * columns).reshape(rows, columns).diagonal(offset)
    return gather(w, flat, w.literal(places, torch.int64), len(rest))


def triangle(w: Writer, x: Value, diagonal: int, upper: bool) -> Value:
    """The upper or lower triangle, zero elsewhere."""
    if w.opset >= 14:
        return w.emit("Trilu", x, w.scalar(diagonal, torch.int64), dtype=x.dtype, upper=int(upper))
    rows, columns = x.shape[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise Refusal("takes a triangle of a dynamic size, which ONNX has from opset 14 on")
    ones = torch.ones(rows, columns, dtype=torch.bool)
    mask = w.literal(ones.triu(diagonal) if upper else ones.tril(diagonal), torch.bool)
    return w.emit("Where", mask, x, w.scalar(0, x.dtype), dtype=x.dtype)


def tril(w: Writer, x: Value, diagonal: int = 0) -> Value:
    """The lower triangle."""
    return triangle(w, x, diagonal, upper=False)


def triu(w: Writer, x: Value, diagonal: int = 0) -> Value:
    """The upper triangle."""
    return triangle(w, x, diagonal, upper=True)


RESHAPES = (
    aten.reshape.default,
    aten.view.default,
    aten._unsafe_view.default,
    aten.reshape_as.default,
    aten.view_as.default,
    aten.flatten.using_ints,
    aten.unflatten.int,
    aten.ravel.default,
    aten.atleast_1d.default,
)
EXPANDS = (aten.expand.default, aten.expand_as.default, aten.broadcast_to.default)
LOWERINGS: dict[Any, Any] = {
    **dict.fromkeys(RESHAPES, to_recorded_shape),
    **dict.fromkeys(EXPANDS, expand_to_recorded),
    **dict.fromkeys((aten.squeeze.default, aten.squeeze.dim, aten.squeeze.dims), squeeze_axes),
    **dict.fromkeys((aten.transpose.int, aten.swapaxes.default, aten.swapdims.default), transpose_two),
    **dict.fromkeys((aten.t.default, aten.mT.default), matrix_transpose),
    aten.numpy_T.default: reversed_axes,
    **dict.fromkeys((aten.cat.default, aten.concat.default, aten.concatenate.default), cat),
    **dict.fromkeys(
        (aten.split.Tensor, aten.unsafe_split.Tensor, aten.chunk.default, aten.tensor_split.sections), split_evenly
    ),
    **dict.fromkeys(
        (aten.split_with_sizes.default, aten.unsafe_split_with_sizes.default, aten.split.sizes), split_with_sizes
    ),
    **dict.fromkeys((aten.repeat.default, aten.tile.default), repeat),
    **{getattr(aten, f"atleast_{n}d").Sequence: partial(at_least, n) for n in (1, 2, 3)},
    **{getattr(aten, f"atleast_{n}d").default: to_recorded_shape for n in (2, 3)},
    aten.vstack.default: partial(join_at, 0, 2),
    aten.hstack.default: partial(join_at, 1, 1),
    aten.column_stack.default: partial(join_at, 1, 2),
    aten.dstack.default: partial(join_at, 2, 3),
    aten.broadcast_tensors.default: broadcast_tensors,
    aten.meshgrid.default: meshgrid,
    aten.meshgrid.indexing: meshgrid,
    aten.diagonal.default: diagonal,
    aten.unsqueeze.default: unsqueeze_axis,
    aten.permute.default: permute,
    aten.stack.default: stack,
    aten.unbind.int: unbind,
    aten.select.int: select,
    aten.slice.Tensor: slice_tensor,
    aten.slice_scatter.default: slice_scatter,
    aten.select_scatter.default: select_scatter,
    aten.repeat_interleave.self_int: repeat_each,
    aten.roll.default: roll,
    aten.flip.default: flip,
    aten.tril.default: tril,
    aten.triu.default: triu,
}
