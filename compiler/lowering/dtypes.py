"""Number types: torch's promotion of mixed operands, and their names in ONNX."""

from collections.abc import Sequence

import torch
from onnx import TensorProto

from nascc.compiler.lowering.values import Value
from nascc.compiler.lowering.writer import Writer

ONNX_TYPE: dict[torch.dtype, int] = {
    torch.float32: TensorProto.FLOAT,
    torch.float64: TensorProto.DOUBLE,
    torch.float16: TensorProto.FLOAT16,
    torch.bfloat16: TensorProto.BFLOAT16,
    torch.int64: TensorProto.INT64,
    torch.int32: TensorProto.INT32,
    torch.int16: TensorProto.INT16,
    torch.int8: TensorProto.INT8,
    torch.uint8: TensorProto.UINT8,
    torch.bool: TensorProto.BOOL,
}
SMALL_INTEGERS = (torch.int8, torch.uint8, torch.int16, torch.bool)

Operand = Value | bool | int | float


def onnx_type(dtype: torch.dtype) -> int:
    """ONNX's number for a type. Raises ValueError for one it lacks."""
    if dtype not in ONNX_TYPE:
        raise ValueError(f"values must be of a type ONNX knows, got {dtype}")
    return ONNX_TYPE[dtype]


def _category(dtype: torch.dtype) -> int:
    return 2 if dtype.is_floating_point else 0 if dtype == torch.bool else 1


def promote(operands: Sequence[Operand]) -> torch.dtype:
    """The type torch computes in: tensors decide, then rank-0 tensors, then numbers, by category."""
    levels: list[torch.dtype | None] = [None, None, None]
    for operand in operands:
        level, dtype = _level(operand)
        known = levels[level]
        levels[level] = dtype if known is None else torch.promote_types(known, dtype)
    result: torch.dtype | None = None
    for level_dtype in levels:
        if level_dtype is not None and (result is None or _category(level_dtype) > _category(result)):
            result = level_dtype
    return torch.float32 if result is None else result


def _level(operand: Operand) -> tuple[int, torch.dtype]:
    if isinstance(operand, Value):
        return (0 if operand.rank else 1), operand.dtype
    if isinstance(operand, bool):
        return 2, torch.bool
    return 2, torch.int64 if isinstance(operand, int) else torch.float32


def cast(w: Writer, x: Value, dtype: torch.dtype) -> Value:
    """`x` in another type; constants are converted on the spot."""
    if x.dtype == dtype:
        return x
    if x.tensor is None:
        return w.emit("Cast", x, dtype=dtype, shape=x.shape, to=onnx_type(dtype))
    tensor = x.tensor if dtype.is_floating_point and x.tensor.is_floating_point() else x.tensor.to(dtype)
    made = w.view(x, ("cast", dtype), tensor)
    made.dtype = dtype
    return made


def operand(w: Writer, x: Operand, dtype: torch.dtype) -> Value:
    """A tensor or a number as a value of `dtype`."""
    return cast(w, x, dtype) if isinstance(x, Value) else w.scalar(x, dtype)


def cast_all(w: Writer, dtype: torch.dtype, *values: Value | None) -> tuple[Value | None, ...]:
    """Several values in one type; None stays."""
    return tuple(None if v is None else cast(w, v, dtype) for v in values)
