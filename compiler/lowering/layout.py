"""Moving data without changing it: transpose, reshape, axes, slices, splits, joins. Neighbours merge when written."""

from collections.abc import Sequence

import torch

from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Dim, Shape, Spec, Value
from nascc.compiler.lowering.writer import Writer

INT64_MAX = 2**63 - 1
RESHAPERS = ("Reshape", "Squeeze", "Unsqueeze")


def transpose(w: Writer, x: Value, perm: Sequence[int]) -> Value:
    """Permute the axes. transpose(transpose(x)) -> transpose(x)."""
    perm = tuple(perm)
    if op := x.made_by("Transpose"):
        inner, base = op.attributes["perm"], op.inputs[0]
        assert base is not None
        return transpose(w, base, [inner[p] for p in perm])
    if perm == tuple(range(x.rank)):
        return x
    if x.tensor is not None:
        return w.view(x, ("transpose", perm), x.tensor.permute(perm))
    return w.emit("Transpose", x, dtype=x.dtype, shape=tuple(x.shape[p] for p in perm), perm=list(perm))


def reshape(w: Writer, x: Value, shape: Shape, near: Value | None = None) -> Value:
    """Same elements, other shape. A chain of reshapes becomes one; sizes are constants wherever the input allows.

    Sizes that must be computed may be read from `near`.
    """
    if (simple := _constant_reshape(w, x, shape)) is not None:
        return simple
    return w.emit("Reshape", x, w.sizes(shape, near or x), dtype=x.dtype, shape=shape)


def _constant_reshape(w: Writer, x: Value, shape: Shape) -> Value | None:
    """A reshape to constant sizes, of `x` or of what it was reshaped from; None if sizes must be computed."""
    if x.tensor is not None:
        return w.view(x, ("reshape", shape), x.tensor.reshape([int(d) for d in shape]))
    base = x
    while (op := base.made_by(*RESHAPERS)) and op.inputs[0] is not None:
        base = op.inputs[0]
    for source in (base, x):
        if source.shape == shape:
            return source
        if (target := _constant_target(source.shape, shape)) is not None:
            return w.emit("Reshape", source, w.ints(target), dtype=x.dtype, shape=shape)
    return None


def _constant_target(source: Shape, shape: Shape) -> list[int] | None:
    """The shape with 0 for sizes copied from the same place and at most one -1; None if that is not enough."""
    if 0 in shape:
        raise Refusal("reshapes a tensor without elements")
    copied = [isinstance(d, str) and i < len(source) and source[i] == d for i, d in enumerate(shape)]
    unknown = [i for i, d in enumerate(shape) if isinstance(d, str) and not copied[i]]
    if len(unknown) > 1:
        return None
    return [0 if copied[i] else -1 if i in unknown else int(d) for i, d in enumerate(shape)]


def squeeze(w: Writer, x: Value, axes: Sequence[int]) -> Value:
    """Drop axes of size 1."""
    shape = tuple(d for i, d in enumerate(x.shape) if i not in axes)
    return _change_axes(w, "Squeeze", x, axes, shape)


def unsqueeze(w: Writer, x: Value, axes: Sequence[int]) -> Value:
    """Insert axes of size 1 at these places of the result."""
    rest = iter(x.shape)
    shape = tuple(1 if i in axes else next(rest) for i in range(x.rank + len(axes)))
    return _change_axes(w, "Unsqueeze", x, axes, shape)


def _change_axes(w: Writer, kind: str, x: Value, axes: Sequence[int], shape: Shape) -> Value:
    if not axes:
        return x
    if (x.tensor is not None or x.made_by(*RESHAPERS)) and (merged := _constant_reshape(w, x, shape)) is not None:
        return merged
    return with_axes(w, kind, x, axes, shape, since=13)


def with_axes(
    w: Writer, kind: str, x: Value, axes: Sequence[int], shape: Shape, *, since: int, **attributes: int
) -> Value:
    """Emit an operator whose axes are an attribute before opset `since` and an input from there on."""
    if w.opset >= since:
        return w.emit(kind, x, w.ints(axes), dtype=x.dtype, shape=shape, **attributes)
    return w.emit(kind, x, dtype=x.dtype, shape=shape, axes=list(axes), **attributes)


def expand(w: Writer, x: Value, shape: Shape) -> Value:
    """Repeat axes of size 1 (new ones in front) up to `shape`."""
    if x.shape == shape:
        return x
    return w.emit("Expand", x, w.sizes(shape, near=x), dtype=x.dtype, shape=shape)


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


def numbers(value: Value | None) -> list[int]:
    """The content of a constant vector of integers."""
    assert value is not None and value.tensor is not None
    return [int(v) for v in value.tensor.reshape(-1).tolist()]


def gather(w: Writer, x: Value, index: Value, axis: int) -> Value:
    """x indexed by an int64 tensor along one axis; the index shape takes the place of the axis."""
    if x.tensor is not None and index.tensor is not None and index.rank == 0:
        at = int(index.tensor)
        return w.view(x, ("select", axis, at), x.tensor.select(axis, at))
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    return w.emit("Gather", x, index, dtype=x.dtype, shape=shape, axis=axis)


def swap_to_last(w: Writer, x: Value, axis: int) -> tuple[Value, list[int]]:
    """`x` with `axis` moved to the end, and the permutation that brings it back."""
    perm = [i for i in range(x.rank) if i != axis] + [axis]
    return transpose(w, x, perm), [perm.index(i) for i in range(x.rank)]


def index_range(start: int, stop: int, step: int = 1) -> torch.Tensor:
    """An int64 vector of evenly spaced indices."""
    return torch.arange(start, stop, step, dtype=torch.int64)
