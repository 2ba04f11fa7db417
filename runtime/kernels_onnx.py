"""The kernels of an ONNX model: the front end that fills the neutral operator list from its nodes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, shape_inference
from onnx.inliner import inline_local_functions

from nascc.runtime.errors import CorruptFile, RuntimeTargetError, UnreadableFile
from nascc.runtime.kernels import Kernel, fuse
from nascc.runtime.operators import Network, Operator, convolution, keeps_order, product

KINDS: dict[str, str] = {
    op: kind
    for kind, ops in {
        "view": "Reshape Flatten Squeeze Unsqueeze Identity Cast CastLike Dropout Expand",
        "transpose": "Transpose",
        "elementwise": "Abs Acos Acosh Add And Asin Asinh Atan Atanh BatchNormalization BitShift BitwiseAnd BitwiseNot "
        "BitwiseOr BitwiseXor Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual "
        "HardSigmoid HardSwish IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu "
        "Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Tan Tanh "
        "ThresholdedRelu Where Xor QuantizeLinear DequantizeLinear",
        "pool": "AveragePool MaxPool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool ArgMax ArgMin ReduceL1 "
        "ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare",
        "norm": "LayerNormalization GroupNormalization InstanceNormalization LpNormalization LRN Softmax LogSoftmax "
        "Hardmax MeanVarianceNormalization",
        "concat": "Concat ConcatFromSequence",
        "slice": "Slice Split Gather",
        "resize": "Resize Upsample GridSample",
    }.items()
    for op in ops.split()
}
"""The kind of an ONNX operator; what is not here moves numbers."""
DATA_INPUTS = {"Reshape": 1, "Expand": 1, "Resize": 1, "Upsample": 1, "Slice": 1, "Pad": 1, "Tile": 1, "Clip": 1,
               "Squeeze": 1, "Unsqueeze": 1, "Split": 1, "Gather": 1, "Dropout": 1}  # fmt: skip
"""How many inputs are data, where the others are parameters."""
GATED = ("Gelu", "HardSwish", "Mish")
"""Activations that multiply their input by a function of it."""

_MOST_SIZES = 64
"""Constants of more numbers are weights, not sizes."""


@dataclass(frozen=True)
class _Sizes:
    """Shapes of values and of constants, by name."""

    values: Mapping[str, tuple[int, ...]]
    constants: Mapping[str, tuple[int, ...]]

    def count(self, name: str) -> int:
        return prod(self.of(name))

    def of(self, name: str) -> tuple[int, ...]:
        found = self.constants.get(name, self.values.get(name))
        if found is None:
            raise RuntimeTargetError(f"the size of value '{name}' must be known, but shape inference does not find it")
        return found


def file_kernels(path: str | Path, sizes: Mapping[str, int] | None = None) -> tuple[Kernel, ...]:
    """The kernels of an ONNX file; external weights are not needed. Raises UnreadableFile or CorruptFile."""
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise UnreadableFile(f"'{path}' must be a readable ONNX file, but: {error}") from error
    except Exception as error:
        raise CorruptFile(f"'{path}' must be an ONNX model, but it can not be parsed: {error}") from error
    return model_kernels(model, sizes)


def model_kernels(model: ModelProto, sizes: Mapping[str, int] | None = None) -> tuple[Kernel, ...]:
    """The kernels that run an ONNX model, its functions included; `sizes` gives open sizes by their letters, else 1."""
    return fuse(model_network(inline_local_functions(model) if model.functions else model, sizes or {}))


def model_network(model: ModelProto, sizes: Mapping[str, int]) -> Network:
    """The neutral operator list of a model. What depends on constants alone is a constant."""
    if not model.graph.node:
        raise CorruptFile("an ONNX model must have at least one node, found an empty graph")
    constants = {t.name: tuple(t.dims) for t in model.graph.initializer}
    shapes = {v.name: _dims(v) for v in _values(model, sizes) if v.type.tensor_type.HasField("shape")}
    varying = {v.name: prod(shapes.get(v.name, ())) for v in model.graph.input if v.name not in constants}
    table = _Sizes(shapes, constants)
    inputs, operators, seen = dict(varying), list[Operator](), set(varying)
    for node in model.graph.node:
        data = node.input[: DATA_INPUTS.get(node.op_type, len(node.input))]
        read = tuple(n for n in data if n in seen)
        if read and node.op_type not in ("Shape", "Size"):
            seen.update(o for o in node.output if o)
            operators += _operators(node, read, table)
        else:
            constants.update(_constant(node, shapes))
    return Network(inputs, tuple(operators), tuple(o.name for o in model.graph.output if o.name in seen))


def _values(model: ModelProto, sizes: Mapping[str, int]) -> Sequence[ValueInfoProto]:
    """Every value with its sizes: as the model tells them when all are numbers, else inferred from its inputs.

    What inference does not know keeps the sizes that the model tells.
    """
    graph = model.graph
    told = (*graph.input, *graph.value_info, *graph.output)
    known = {v.name for v in told}
    is_static = all(d.HasField("dim_value") for v in told for d in v.type.tensor_type.shape.dim)
    if is_static and all(o in known for node in graph.node for o in node.output if o):
        return told
    found = _infer(_bare(model, sizes)).graph
    inferred = [v for v in (*found.value_info, *found.output) if v.type.tensor_type.HasField("shape")]
    return (*told, *found.input, *inferred)


def _bare(model: ModelProto, sizes: Mapping[str, int]) -> ModelProto:
    """The model without large weights and without sizes but those of its inputs, open ones filled in."""
    bare = ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    graph = bare.graph
    graph.name = model.graph.name
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.initializer.extend(_light(t) for t in model.graph.initializer)
    for value in graph.input:
        for dim in value.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                dim.dim_value = sizes.get(dim.dim_param, 1)
    for value in model.graph.output:
        graph.output.append(helper.make_tensor_value_info(value.name, value.type.tensor_type.elem_type, None))
    return bare


def _light(tensor: TensorProto) -> TensorProto:
    """A constant as it is where it may hold sizes, else without its numbers."""
    if prod(tensor.dims) <= _MOST_SIZES:
        return tensor
    return TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)


def _infer(model: ModelProto) -> ModelProto:
    try:
        return shape_inference.infer_shapes(model, data_prop=True)
    except Exception as error:
        raise CorruptFile(f"the sizes of an ONNX model must be inferable, but: {error}") from error


def _dims(value: ValueInfoProto) -> tuple[int, ...]:
    return tuple(d.dim_value if d.HasField("dim_value") else 1 for d in value.type.tensor_type.shape.dim)


def _constant(node: NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    if node.op_type == "Constant":
        return {node.output[0]: next((tuple(a.t.dims) for a in node.attribute if a.HasField("t")), ())}
    return {o: shapes.get(o, ()) for o in node.output if o}


def _operators(node: NodeProto, inputs: tuple[str, ...], sizes: _Sizes) -> list[Operator]:
    special = SPECIAL.get(node.op_type)
    if special is not None:
        return special(node, inputs, sizes)
    kind, name = _kind(node, sizes), node.name or node.output[0]
    weights = sum(sizes.count(n) for n in _data(node) if n in sizes.constants)
    outputs = [o for o in node.output if o]
    gated = node.op_type in GATED
    return [Operator(name, kind, inputs, o, sizes.count(o), weights, gated=gated) for o in outputs]


def _data(node: NodeProto) -> Sequence[str]:
    return [n for n in node.input[: DATA_INPUTS.get(node.op_type, len(node.input))] if n]


def _kind(node: NodeProto, sizes: _Sizes) -> str:
    if node.domain not in ("", "ai.onnx"):
        return "move"
    if node.op_type == "Transpose":
        shape = sizes.of(node.input[0])
        axes = _attribute(node, "perm", range(len(shape))[::-1])
        return "view" if keeps_order(shape, axes) else "transpose"
    if node.op_type == "Pad":
        mode = _attribute(node, "mode", b"constant")
        value = [n for n in node.input[2:3] if n]
        return "pad" if mode == b"constant" and all(sizes.count(n) <= 1 for n in value) else "move"
    return KINDS.get(node.op_type, "move")


def _convolution(node: NodeProto, inputs: tuple[str, ...], sizes: _Sizes) -> list[Operator]:
    weight, out = sizes.of(node.input[1]), sizes.of(node.output[0])
    bias = sizes.count(node.input[2]) if len(node.input) > 2 and node.input[2] else 0
    found = convolution(
        node.name or node.output[0], inputs[:1], node.output[0], sizes.of(node.input[0]), out, weight,
        int(_attribute(node, "group", 1)), transposed=node.op_type == "ConvTranspose", bias=bias,
    )  # fmt: skip
    return [found]


def _product(node: NodeProto, inputs: tuple[str, ...], sizes: _Sizes) -> list[Operator]:
    left = sizes.of(node.input[0])
    reduction = left[-2] if node.op_type == "Gemm" and _attribute(node, "transA", 0) else left[-1]
    weights = sum(sizes.count(n) for n in node.input if n in sizes.constants)
    name, output = node.name or node.output[0], node.output[0]
    return [product(name, inputs, output, sizes.of(output), reduction, weights)]


SPECIAL: dict[str, Callable[[NodeProto, tuple[str, ...], _Sizes], list[Operator]]] = {
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "Gemm": _product,
    "MatMul": _product,
}


def _attribute(node: NodeProto, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)
