"""Parts and joins: slices, splits, concatenation, places picked by index. Slices of several axes merge."""

from collections.abc import Sequence

from nascc.compiler.lowering.layout import numbers
from nascc.compiler.lowering.values import Dim, Shape, Spec, Value
from nascc.compiler.lowering.writer import Writer

INT64_MAX = 2**63 - 1


def concat(w: Writer, values: Sequence[Value], axis: int, shape: Shape) -> Value:
    """Join along an axis."""
    return values[0] if len(values) == 1 else w.emit("Concat", *values, dtype=values[0].dtype, shape=shape, axis=axis)


def split(w: Writer, x: Value, sizes: Sequence[int], axis: int) -> tuple[Value, ...]:
    """Cut along an axis into parts of the given sizes."""
    if len(sizes) == 1:
        return (x,)
    specs = [Spec(x.dtype, (*x.shape[:axis], size, *x.shape[axis + 1 :])) for size in sizes]
    if w.opset >= 13:
        return w.emit_many("Split", x, w.ints(sizes), specs=specs, axis=axis)
    return w.emit_many("Split", x, specs=specs, axis=axis, split=list(sizes))


def slice_axis(w: Writer, x: Value, axis: int, start: int | Value, end: int | Value, step: int, size: Dim) -> Value:
    """x[start:end:step] along one axis, `size` elements long. Slices of different axes merge."""
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    if isinstance(start, int) and isinstance(end, int):
        if start == 0 and step == 1 and size == x.shape[axis]:
            return x
        if x.tensor is not None and start >= 0 and step > 0:
            index = [slice(None)] * axis + [slice(start, end, step)]
            return w.view(x, ("slice", axis, start, end, step), x.tensor[tuple(index)])
        if (merged := _merge_slice(w, x, axis, start, end, step, shape)) is not None:
            return merged
    starts, ends = (v if isinstance(v, Value) else w.ints([v]) for v in (start, end))
    steps = None if step == 1 else w.ints([step])
    return w.emit("Slice", x, starts, ends, w.ints([axis]), steps, dtype=x.dtype, shape=shape)


def _merge_slice(w: Writer, x: Value, axis: int, start: int, end: int, step: int, shape: Shape) -> Value | None:
    if (op := x.made_by("Slice")) is None or any(v is not None and v.tensor is None for v in op.inputs[1:]):
        return None
    starts, ends, axes = (numbers(v) for v in op.inputs[1:4])
    if axis in axes:
        return None
    steps = numbers(op.inputs[4]) if len(op.inputs) > 4 else [1] * len(axes)
    steps = [*steps, step]
    parts = (w.ints([*starts, start]), w.ints([*ends, end]), w.ints([*axes, axis]))
    last = None if set(steps) == {1} else w.ints(steps)
    return w.emit("Slice", op.inputs[0], *parts, last, dtype=x.dtype, shape=shape)


def gather(w: Writer, x: Value, index: Value, axis: int) -> Value:
    """x indexed by an int64 tensor along one axis; the index shape takes the place of the axis."""
    if x.tensor is not None and index.tensor is not None and index.rank == 0:
        at = int(index.tensor)
        return w.view(x, ("select", axis, at), x.tensor.select(axis, at))
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    return w.emit("Gather", x, index, dtype=x.dtype, shape=shape, axis=axis)
