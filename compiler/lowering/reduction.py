"""Reductions over axes, whose axes moved from attribute to input between operator sets."""

from collections.abc import Sequence

import torch

from nascc.compiler.lowering.dtypes import SMALL_INTEGERS, cast
from nascc.compiler.lowering.layout import with_axes
from nascc.compiler.lowering.values import Shape, Value
from nascc.compiler.lowering.writer import Writer


def reduced_shape(shape: Shape, axes: Sequence[int], keepdim: bool) -> Shape:
    """The shape after a reduction."""
    return tuple(1 if i in axes else d for i, d in enumerate(shape) if keepdim or i not in axes)


def all_axes(x: Value, axes: Sequence[int] | int | None) -> list[int]:
    """Axes counted from the front; None or none at all means every axis."""
    if isinstance(axes, int):
        axes = [axes]
    return sorted(a % max(x.rank, 1) for a in axes) if axes else list(range(x.rank))


def reduce(w: Writer, kind: str, x: Value, axes: Sequence[int], keepdim: bool) -> Value:
    """ReduceSum, ReduceMean, ReduceMax ... over the axes."""
    if x.rank == 0 or not axes:
        return x
    if x.dtype in SMALL_INTEGERS:
        return cast(w, reduce(w, kind, cast(w, x, torch.int32), axes, keepdim), x.dtype)
    since = 13 if kind == "ReduceSum" else 18
    shape = reduced_shape(x.shape, axes, keepdim)
    return with_axes(w, kind, x, axes, shape, since=since, keepdims=int(keepdim))


def arg_extremum(w: Writer, kind: str, x: Value, axis: int, keepdim: bool) -> Value:
    """ArgMax or ArgMin along one axis, the first of equals."""
    if x.dtype in SMALL_INTEGERS:
        x = cast(w, x, torch.int32)
    shape = reduced_shape(x.shape, [axis], keepdim)
    return w.emit(kind, x, dtype=torch.int64, shape=shape, axis=axis, keepdims=int(keepdim))
