"""Every value of an ONNX model in float64, with onnx's reference evaluator and torch's products."""

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
    """All values by name, outputs and those on the way, fp32 ones in float64.

    What is fp16 in the model is rounded to it, value by value, and products are summed in float64: that is what a
    typed graph comes to. Raises UsageError where a value can not be computed.
    """
    promoted = _promoted(model)
    names = [name for node in promoted.graph.node for name in node.output if name]
    del promoted.graph.output[:]
    promoted.graph.output.extend(_untyped(name) for name in names)
    feed = {name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in inputs.items()}
    try:
        evaluator = ReferenceEvaluator(promoted, new_ops=[Conv, Gemm, MatMul])
        with torch.no_grad(), np.errstate(all="ignore"):
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
            _wide(x),
            [side for axis in reversed(range(rank)) for side in (pads[axis], pads[axis + rank])],
        )
        bias = None if b is None else _wide(b)
        weight = _wide(w)
        convolve = getattr(torch.nn.functional, f"conv{rank}d")
        groups = int(given.get("group") or 1)
        return (_like(convolve(padded, weight, bias, tuple(strides), 0, tuple(dilations), groups), x),)


class Gemm(OpRun):
    """alpha * a @ b + beta * c, the product in float64."""

    op_domain = ""

    def _run(self, a: Any, b: Any, c: Any = None, **given: Any) -> tuple[Array]:
        left, right = (_wide(m).T if given.get(f) else _wide(m) for m, f in ((a, "transA"), (b, "transB")))
        product = _default(given.get("alpha"), 1.0) * (left @ right)
        return (_like(product if c is None else product + _default(given.get("beta"), 1.0) * _wide(c), a),)


class MatMul(OpRun):
    """a @ b, the product in float64."""

    op_domain = ""

    def _run(self, a: Any, b: Any, **given: Any) -> tuple[Array]:
        return (_like(_wide(a) @ _wide(b), a) if a.dtype.kind == "f" else np.matmul(a, b),)


def _wide(array: Any) -> torch.Tensor:
    found: torch.Tensor = to_tensor(array)
    return found.double() if found.is_floating_point() else found


def _like(found: torch.Tensor, array: Any) -> Array:
    """A result in the type of what it was made from."""
    return found.numpy().astype(array.dtype)


def _default(value: Any, other: float) -> float:
    return other if value is None else float(value)


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
