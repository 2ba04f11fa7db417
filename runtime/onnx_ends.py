"""What an ONNX model takes and returns, from the file alone."""

from collections.abc import Iterable

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, helper

from nascc.runtime.runners.base import TensorSpec


def input_specs(model: ModelProto) -> tuple[TensorSpec, ...]:
    """The inputs of a model, without those that are weights."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return _specs(value for value in model.graph.input if value.name not in weights)


def output_specs(model: ModelProto) -> tuple[TensorSpec, ...]:
    """The outputs of a model."""
    return _specs(model.graph.output)


def _specs(values: Iterable[ValueInfoProto]) -> tuple[TensorSpec, ...]:
    return tuple(_spec(value) for value in values)


def _spec(value: ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    dims = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param or "?" for d in tensor.shape.dim)
    kind = tensor.elem_type
    dtype = None if kind == TensorProto.UNDEFINED else np.dtype(helper.tensor_dtype_to_np_dtype(kind))
    return TensorSpec(value.name, dims if tensor.HasField("shape") else None, dtype)
