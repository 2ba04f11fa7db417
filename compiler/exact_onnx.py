"""Every value of an ONNX model in float64, with onnx's reference evaluator and torch's convolutions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from onnx import AttributeProto, ModelProto, TensorProto, ValueInfoProto, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from nascc.compiler.errors import UsageError
from nascc.runtime.runners.base import Array
from nascc.runtime.runners.torch import to_tensor

_SINGLE, _DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE


def exact_values(model: ModelProto, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """All values by name, outputs and those on the way, in float64. Raises UsageError where one can not be computed."""
    promoted = _promoted(model)
    names = [name for node in promoted.graph.node for name in node.output if name]
    del promoted.graph.output[:]
    promoted.graph.output.extend(_untyped(name) for name in names)
    feed = {name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in inputs.items()}
    try:
        evaluator = ReferenceEvaluator(promoted, new_ops=[Conv])
        with torch.no_grad():
            values = evaluator.run(None, feed)
    except Exception as error:  # the evaluator raises whatever its operators do
        raise UsageError(f"the network must be computable in float64, but: {type(error).__name__}: {error}") from error
    return dict(zip(names, map(np.asarray, values), strict=True))


class Conv(OpRun):
    """A convolution of any rank in torch: onnx's own takes minutes."""

    op_domain = ""

    def _run(self, x: Any, w: Any, b: Any = None, **given: Any) -> tuple[Array]:
        rank = w.ndim - 2
        pads = list(given.get("pads") or [0] * 2 * rank)
        strides, dilations = given.get("strides") or [1] * rank, given.get("dilations") or [1] * rank
        if (auto := given.get("auto_pad") or "NOTSET") not in ("NOTSET", "VALID"):
            pads = _same(x.shape[2:], w.shape[2:], strides, dilations, auto)
        padded = torch.nn.functional.pad(
            to_tensor(x),
            [side for axis in reversed(range(rank)) for side in (pads[axis], pads[axis + rank])],
        )
        bias = None if b is None else to_tensor(b)
        weight = to_tensor(w)
        convolve = getattr(torch.nn.functional, f"conv{rank}d")
        groups = int(given.get("group") or 1)
        return (convolve(padded, weight, bias, tuple(strides), 0, tuple(dilations), groups).numpy(),)


def _same(
    size: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int], auto: str
) -> list[int]:
    """Pads of SAME_UPPER and SAME_LOWER: starts, then ends."""
    totals = [
        max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
        for n, k, s, d in zip(size, kernel, strides, dilations, strict=True)
    ]
    small, large = [t // 2 for t in totals], [t - t // 2 for t in totals]
    return [*small, *large] if auto == "SAME_UPPER" else [*large, *small]


def _promoted(model: ModelProto) -> ModelProto:
    """The model with every float32 as a float64."""
    made = ModelProto()
    made.CopyFrom(model)
    del made.graph.value_info[:]
    for tensor in made.graph.initializer:
        _promote(tensor)
    for value in made.graph.input:
        if value.type.tensor_type.elem_type == _SINGLE:
            value.type.tensor_type.elem_type = _DOUBLE
    for node in made.graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                _promote(attribute.t)
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == _SINGLE:
                attribute.i = _DOUBLE
    return made


def _promote(tensor: TensorProto) -> None:
    if tensor.data_type == _SINGLE:
        wide = numpy_helper.to_array(tensor).astype(np.float64)
        tensor.CopyFrom(numpy_helper.from_array(wide, tensor.name))


def _untyped(name: str) -> ValueInfoProto:
    return ValueInfoProto(name=name)
