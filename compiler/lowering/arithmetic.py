"""Elementwise building blocks: one operator over one or two values, torch's promotion and ONNX's type gaps bridged."""

import torch

from nascc.compiler.lowering.dtypes import SMALL_INTEGERS, Operand, cast, operand, promote
from nascc.compiler.lowering.values import Shape, Value, broadcast, is_float
from nascc.compiler.lowering.writer import Writer

LOGICAL = {"Add": "Or", "Mul": "And", "Max": "Or", "Min": "And"}


def unary(w: Writer, kind: str, x: Value, **attributes: float | int | str) -> Value:
    """One operator over one value, same type and shape."""
    return w.emit(kind, x, dtype=x.dtype, shape=x.shape, **attributes)


def binary(w: Writer, kind: str, a: Operand, b: Operand, dtype: torch.dtype | None = None) -> Value:
    """One arithmetic operator over two operands, computed in `dtype` (by default the promoted one)."""
    dtype = promote((a, b)) if dtype is None else dtype
    if dtype == torch.bool and kind in LOGICAL:
        return _join(w, LOGICAL[kind], a, b, dtype, dtype)
    if kind in ("Max", "Min"):
        return _extremum(w, kind, a, b, dtype)
    wide = torch.int32 if dtype in SMALL_INTEGERS else dtype
    return cast(w, _join(w, kind, a, b, wide, wide), dtype)


def compare(w: Writer, kind: str, a: Operand, b: Operand) -> Value:
    """Equal, Less, Greater, LessOrEqual or GreaterOrEqual over the promoted operands; the result is boolean."""
    dtype = promote((a, b))
    if dtype in SMALL_INTEGERS and not (dtype == torch.bool and kind == "Equal"):
        dtype = torch.int32
    if w.opset < 12 and kind.endswith("OrEqual"):
        strict = _join(w, kind.removesuffix("OrEqual"), a, b, dtype, torch.bool)
        return _join(w, "Or", strict, _join(w, "Equal", a, b, dtype, torch.bool), torch.bool, torch.bool)
    return _join(w, kind, a, b, dtype, torch.bool)


def logical(w: Writer, kind: str, a: Operand, b: Operand) -> Value:
    """And, Or or Xor over the truth of two operands."""
    return _join(w, kind, a, b, torch.bool, torch.bool)


def where(w: Writer, condition: Value, a: Operand, b: Operand, dtype: torch.dtype | None = None) -> Value:
    """a where the condition holds, else b."""
    dtype = promote((a, b)) if dtype is None else dtype
    x, y = operand(w, a, dtype), operand(w, b, dtype)
    shape = broadcast(condition.shape, broadcast(x.shape, y.shape))
    x, y = (unexpanded(v, broadcast(condition.shape, other.shape), shape) for v, other in ((x, y), (y, x)))
    return w.emit("Where", cast(w, condition, torch.bool), x, y, dtype=dtype, shape=shape)


def _extremum(w: Writer, kind: str, a: Operand, b: Operand, dtype: torch.dtype) -> Value:
    if is_float(dtype) or (w.opset >= 12 and dtype not in SMALL_INTEGERS):
        return _join(w, kind, a, b, dtype, dtype)
    wide = torch.int32 if dtype in SMALL_INTEGERS else dtype
    x, y = operand(w, a, wide), operand(w, b, wide)
    first = _join(w, "Greater" if kind == "Max" else "Less", x, y, wide, torch.bool)
    return cast(w, where(w, first, x, y, wide), dtype)


def _join(w: Writer, kind: str, a: Operand, b: Operand, dtype: torch.dtype, result: torch.dtype) -> Value:
    x, y = operand(w, a, dtype), operand(w, b, dtype)
    shape = broadcast(x.shape, y.shape)
    x, y = unexpanded(x, y.shape, shape), unexpanded(y, x.shape, shape)
    return w.emit(kind, x, y, dtype=result, shape=shape)


def unexpanded(x: Value, other: Shape, shape: Shape) -> Value:
    """What `x` was before an Expand, where broadcasting against `other` does the same."""
    op = x.made_by("Expand")
    base = op.inputs[0] if op else None
    return base if base is not None and broadcast(base.shape, other) == shape else x
