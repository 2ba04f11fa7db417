"""Attributes and tensors as ONNX messages."""

from collections.abc import Sequence

import torch
from onnx import AttributeProto, TensorProto

from nascc.compiler.lowering.dtypes import onnx_type

Attribute = int | float | str | Sequence[int] | Sequence[float] | Sequence[str] | torch.Tensor


def attribute(name: str, value: Attribute) -> AttributeProto:
    """An attribute; its kind follows from the Python type."""
    if isinstance(value, torch.Tensor):
        return AttributeProto(name=name, type=AttributeProto.TENSOR, t=_tensor(value))
    if isinstance(value, str):
        return AttributeProto(name=name, type=AttributeProto.STRING, s=value.encode())
    if isinstance(value, int):
        return AttributeProto(name=name, type=AttributeProto.INT, i=value)
    if isinstance(value, float):
        return AttributeProto(name=name, type=AttributeProto.FLOAT, f=value)
    if any(isinstance(v, float) for v in value):
        return AttributeProto(name=name, type=AttributeProto.FLOATS, floats=[float(v) for v in value])
    if any(isinstance(v, str) for v in value):
        return AttributeProto(name=name, type=AttributeProto.STRINGS, strings=[str(v).encode() for v in value])
    return AttributeProto(name=name, type=AttributeProto.INTS, ints=[int(v) for v in value])


def content(value: torch.Tensor, dtype: torch.dtype) -> bytes:
    """Row-major little-endian bytes of a tensor rounded to `dtype`."""
    flat = value.detach().to(dtype).contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def _tensor(value: torch.Tensor) -> TensorProto:
    return TensorProto(data_type=onnx_type(value.dtype), dims=list(value.shape), raw_data=content(value, value.dtype))
