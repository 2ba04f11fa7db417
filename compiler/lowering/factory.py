"""Tensors made from nothing but numbers, where their size is known only at run time; the others are constants."""

from typing import Any

import torch

from nascc.compiler.lowering.arithmetic import binary
from nascc.compiler.lowering.dtypes import Operand, cast, operand
from nascc.compiler.lowering.layout import expand, reshape, squeeze
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten


def _filled(w: Writer, value: Operand, near: Value | None = None) -> Value:
    shape = w.out.shape
    if not isinstance(value, Value) and w.opset >= 9 and shape:
        sizes = w.sizes(shape, near)
        return w.emit("ConstantOfShape", sizes, value=torch.tensor([value]).to(w.out.dtype))
    filler = operand(w, value, w.out.dtype)
    return expand(w, reshape(w, filler, ()), shape)


def full(w: Writer, size: Any, value: Operand) -> Value:
    """One value everywhere."""
    return _filled(w, value)


def zeros(w: Writer, size: Any) -> Value:
    """Zero everywhere."""
    return _filled(w, 0)


def ones(w: Writer, size: Any) -> Value:
    """One everywhere."""
    return _filled(w, 1)


def full_like(w: Writer, x: Value, value: Operand) -> Value:
    """One value in the shape of x."""
    return _filled(w, value, x)


def zeros_like(w: Writer, x: Value, *details: Any) -> Value:
    """Zero in the shape of x, or in a new shape beside it."""
    return _filled(w, 0, x)


def ones_like(w: Writer, x: Value, *details: Any) -> Value:
    """One in the shape of x, or in a new shape beside it."""
    return _filled(w, 1, x)


def new_full(w: Writer, x: Value, size: Any, value: Operand) -> Value:
    """One value everywhere, beside x."""
    return _filled(w, value, x)


def arange(w: Writer, end: Operand) -> Value:
    """0, 1, ... below the end."""
    return arange_step(w, 0, end, 1)


def arange_start(w: Writer, start: Operand, end: Operand) -> Value:
    """start, start + 1, ... below the end."""
    return arange_step(w, start, end, 1)


def arange_step(w: Writer, start: Operand, end: Operand, step: Operand = 1) -> Value:
    """start, start + step, ... below the end."""
    dtype = w.out.dtype if w.out.dtype in (torch.int64, torch.int32, torch.float32, torch.float64) else torch.float32
    bounds = [_scalar(w, v, dtype) for v in (start, end, step)]
    return cast(w, w.emit("Range", *bounds, dtype=dtype), w.out.dtype)


def _scalar(w: Writer, x: Operand, dtype: torch.dtype) -> Value:
    value = operand(w, x, dtype)
    return squeeze(w, value, [0]) if value.rank == 1 else value


def scalar_tensor(w: Writer, value: Operand) -> Value:
    """A number as a tensor of rank 0."""
    return _scalar(w, value, w.out.dtype)


def linspace(w: Writer, start: Operand, end: Operand, steps: int | Value) -> Value:
    """`steps` numbers from start to end, both included."""
    if isinstance(start, Value) or isinstance(end, Value) or not isinstance(steps, Value):
        raise Refusal("spaces numbers between ends known only at run time")
    count = cast(w, steps, w.out.dtype)
    places = w.emit("Range", *(_scalar(w, v, w.out.dtype) for v in (0, count, 1)))
    gap = binary(w, "Div", end - start, binary(w, "Sub", count, 1, w.out.dtype), w.out.dtype)
    return binary(w, "Add", binary(w, "Mul", places, gap, w.out.dtype), start, w.out.dtype)


LOWERINGS: dict[Any, Any] = {
    aten.full.default: full,
    aten.zeros.default: zeros,
    aten.ones.default: ones,
    aten.empty.memory_format: zeros,
    aten.empty_like.default: zeros_like,
    aten.new_empty.default: zeros_like,
    aten.full_like.default: full_like,
    aten.zeros_like.default: zeros_like,
    aten.zero.default: zeros_like,
    aten.ones_like.default: ones_like,
    aten.new_zeros.default: zeros_like,
    aten.new_ones.default: ones_like,
    aten.new_full.default: new_full,
    aten.fill.Scalar: full_like,
    aten.fill.Tensor: full_like,
    aten.arange.default: arange,
    aten.arange.start: arange_start,
    aten.arange.start_step: arange_step,
    aten.scalar_tensor.default: scalar_tensor,
    aten.linspace.default: linspace,
}
