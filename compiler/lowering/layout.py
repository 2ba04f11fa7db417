"""Other shapes of the same elements: transpose, reshape, axes, expand. Neighbours merge when they are written."""

from collections.abc import Sequence

from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Op, Shape, Value
from nascc.compiler.lowering.writer import Writer

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
    shape = tuple(x.shape[p] for p in perm)
    if x.made_by(*RESHAPERS) and _moves_only_ones(x.shape, perm) and (merged := _constant_reshape(w, x, shape)):
        return merged
    return w.emit("Transpose", x, dtype=x.dtype, shape=shape, perm=list(perm))


def _moves_only_ones(shape: Shape, perm: Sequence[int]) -> bool:
    """Do all axes but those of size 1 keep their order? Then a transpose is a reshape."""
    moved = [p for p in perm if shape[p] != 1]
    return moved == sorted(moved)


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
    if (reduced := _keeping_axes(w, x, shape)) is not None:
        return reduced
    base = x
    while base.op is not None and base.op.inputs and base.op.inputs[0] is not None and _only_reshapes(base.op):
        base = base.op.inputs[0]
    for source in (base, x):
        if source.shape == shape:
            return source
        if (target := _constant_target(source.shape, shape)) is not None:
            return w.emit("Reshape", source, w.ints(target), dtype=x.dtype, shape=shape)
    return None


def _only_reshapes(op: Op) -> bool:
    source = op.inputs[0]
    moves = op.kind == "Transpose" and source is not None and _moves_only_ones(source.shape, op.attributes["perm"])
    return moves or op.kind in RESHAPERS


def _keeping_axes(w: Writer, x: Value, shape: Shape) -> Value | None:
    """A reduction that drops its axes, as one that keeps them, where `shape` puts them back for the only user."""
    op = x.op
    if op is None or x.users > 1 or op.attributes.get("keepdims") != 0 or op.inputs[0] is None:
        return None
    axes = op.attributes.get("axes") or (numbers(op.inputs[1]) if len(op.inputs) > 1 else [op.attributes.get("axis")])
    if shape != tuple(1 if i in axes else d for i, d in enumerate(op.inputs[0].shape)):
        return None
    return w.emit(op.kind, *op.inputs, dtype=x.dtype, shape=shape, **(op.attributes | {"keepdims": 1}))


def numbers(value: Value | None) -> list[int]:
    """The content of a constant vector of integers."""
    assert value is not None and value.tensor is not None
    return [int(v) for v in value.tensor.reshape(-1).tolist()]


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
    if (reduced := _keeping_axes(w, x, shape)) is not None:
        return reduced
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


def swap_to_last(w: Writer, x: Value, axis: int) -> tuple[Value, list[int]]:
    """`x` with `axis` moved to the end, and the permutation that brings it back."""
    perm = [i for i in range(x.rank) if i != axis] + [axis]
    return transpose(w, x, perm), [perm.index(i) for i in range(x.rank)]
