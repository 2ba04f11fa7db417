"""One linear operator as an ONNX model of its own, between neighbours as it has them in a network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from nascc.passes.linear.description import LinearOp

OPSET, IR_VERSION = 20, 9
INPUT, OTHER, TAIL, OUTPUT = "x", "other", "tail", "y"
Array = NDArray[np.float32]
Shape = tuple[int, ...]


@dataclass
class Draft:
    """A graph that is being written; every call returns the name of its value."""

    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)

    def call(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, array: NDArray[np.generic]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def weights(self, *shape: int) -> str:
        """Seeded numbers between -1 and 1: what runs fast must not depend on zeros or denormals."""
        seeded = np.random.default_rng(len(self.constants))
        return self.constant(seeded.uniform(-1, 1, shape).astype(np.float32))

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))


def operator_model(op: LinearOp) -> ModelProto:
    """x [N, C_in, *size] -> y: the operator with its tail. Computes in float32, whatever the operator's dtype.

    An image comes from a depthwise 1x1 convolution and goes into a max pool that looks at one pixel, so that the
    operator meets the memory layout it meets inside a network; `neighbours_model` has everything but the operator.
    """
    draft = Draft()
    inputs = _inputs(op)
    values = {n: _producer(draft, n, shape) if _has_neighbours(op) else n for n, shape in inputs.items()}
    beside = values.pop(TAIL, "")
    value = BUILDERS[op.kind](draft, op, *values.values())
    for tail in op.tail:
        value = draft.call("Add", value, beside) if tail == "add" else _activation(draft, tail, value)
    return _finished(draft, op, {value: (op.batch, op.c_out, *op.out_size)})


def neighbours_model(op: LinearOp) -> ModelProto | None:
    """What surrounds the operator in `operator_model`, alone: the same inputs; None where nothing does."""
    if not _has_neighbours(op):
        return None
    draft = Draft()
    return _finished(draft, op, {_producer(draft, name, shape): shape for name, shape in _inputs(op).items()})


def example(op: LinearOp) -> dict[str, Array]:
    """Seeded inputs of both models."""
    seeded = np.random.default_rng(0)
    return {name: seeded.uniform(-1, 1, shape).astype(np.float32) for name, shape in _inputs(op).items()}


def _inputs(op: LinearOp) -> dict[str, Shape]:
    shapes = {INPUT: (op.batch, op.c_in, *op.size)}
    if op.kind == "add":
        shapes[OTHER] = shapes[INPUT]
    if op.kind == "concat" and op.c_out > 1:
        half = op.c_out // 2
        shapes = {INPUT: (op.batch, op.c_out - half, *op.size), OTHER: (op.batch, half, *op.size)}
    return shapes | ({TAIL: (op.batch, op.c_out, *op.out_size)} if "add" in op.tail else {})


def _has_neighbours(op: LinearOp) -> bool:
    """Only images have a layout of their own; a pad stands alone, for a runtime would fold it into a max pool."""
    return len(op.size) == 2 and len(op.out_size) == 2 and op.kind != "pad"


def _producer(draft: Draft, name: str, shape: Shape) -> str:
    return draft.call("Conv", name, draft.weights(shape[1], 1, 1, 1), kernel_shape=[1, 1], group=shape[1])


def _finished(draft: Draft, op: LinearOp, results: Mapping[str, Shape]) -> ModelProto:
    """The model, with what reads its results; sizes that a tile must be expanded to are open."""
    outputs, read = [], _has_neighbours(op)
    for k, (value, shape) in enumerate(results.items()):
        last = draft.call("MaxPool", value, kernel_shape=[1, 1], strides=shape[2:]) if read else value
        draft.nodes.append(helper.make_node("Identity", [last], [f"{OUTPUT}{k}"]))
        outputs.append(_info(f"{OUTPUT}{k}", (*shape[:2], 1, 1) if read else shape))
    inputs = [_info(name, shape, is_open=op.kind == "add_tile") for name, shape in _inputs(op).items()]
    graph = helper.make_graph(draft.nodes, "operator", inputs, outputs, draft.constants)
    return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)])


def _info(name: str, shape: Shape, *, is_open: bool = False) -> ValueInfoProto:
    sizes = [f"{name}{k}" if is_open and k > 1 else n for k, n in enumerate(shape)]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)


# ---- one builder a kind --------------------------------------------------------------------------------------------


def _conv(draft: Draft, op: LinearOp, x: str) -> str:
    weight = draft.weights(op.c_out, op.c_in // op.groups, *op.kernel)
    return draft.call("Conv", *_operands(draft, op, x, weight), **_geometry(op), group=op.groups)


def _operands(draft: Draft, op: LinearOp, x: str, weight: str) -> list[str]:
    return [x, weight, draft.weights(op.c_out)] if op.bias else [x, weight]


def _geometry(op: LinearOp) -> dict[str, object]:
    sides = [max(0, before) for before, _ in op.padding] + [max(0, after) for _, after in op.padding]
    return {"kernel_shape": op.kernel, "strides": op.stride, "dilations": op.dilation, "pads": sides}


def _conv_transposed(draft: Draft, op: LinearOp, x: str) -> str:
    weight = draft.weights(op.c_in, op.c_out // op.groups, *op.kernel)
    dims = zip(op.size, op.kernel, op.stride, op.padding, op.dilation, op.out_size, strict=True)
    sides = [[max(0, p[0]) for p in op.padding], [max(0, p[1]) for p in op.padding]]
    full = [(n - 1) * s + d * (k - 1) + 1 - out for n, k, s, _, d, out in dims]
    more = [max(0, before + after - cut) for before, after, cut in zip(*sides, full, strict=True)]
    options = _geometry(op) | {"output_padding": more}
    return draft.call("ConvTranspose", *_operands(draft, op, x, weight), **options, group=op.groups)


def _linear(draft: Draft, op: LinearOp, x: str) -> str:
    if op.kernel:
        return _conv(draft, op, x)
    return draft.call("Gemm", *_operands(draft, op, x, draft.weights(op.c_out, op.c_in)), transB=1)


def _along_channels(draft: Draft, op: LinearOp) -> str:
    return draft.weights(1, op.c_out, *[1] * len(op.size))


def _per_channel(draft: Draft, op: LinearOp, x: str) -> str:
    scaled = draft.call("Mul", x, _along_channels(draft, op))
    return draft.call("Add", scaled, _along_channels(draft, op)) if op.bias else scaled


def _subtract(draft: Draft, op: LinearOp, x: str) -> str:
    return draft.call("Sub", x, _along_channels(draft, op))


def _add(draft: Draft, op: LinearOp, x: str, other: str) -> str:
    return draft.call("Add", x, other)


def _add_map(draft: Draft, op: LinearOp, x: str) -> str:
    return draft.call("Add", x, draft.weights(1, op.c_out, *op.out_size))


def _add_tile(draft: Draft, op: LinearOp, x: str) -> str:
    return draft.call("Add", x, draft.call("Expand", _along_channels(draft, op), draft.call("Shape", x)))


def _average_pool(draft: Draft, op: LinearOp, x: str) -> str:
    if all(n == 1 for n in op.out_size):
        return draft.call("GlobalAveragePool", x)
    if not op.kernel:
        window = [max(1, n // out) for n, out in zip(op.size, op.out_size, strict=True)]
        return draft.call("AveragePool", x, kernel_shape=window, strides=window)
    options = {key: value for key, value in _geometry(op).items() if key != "dilations"}
    return draft.call("AveragePool", x, count_include_pad=1, **options)


def _upsample(draft: Draft, op: LinearOp, x: str) -> str:
    sizes = draft.integers(op.batch, op.c_out, *op.out_size)
    options = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return draft.call("Resize", x, "", "", sizes, **options)


def _cat_ones(draft: Draft, op: LinearOp, x: str) -> str:
    return draft.call("Concat", x, draft.constant(np.ones((op.batch, 1, *op.size), np.float32)), axis=1)


def _concat(draft: Draft, op: LinearOp, *halves: str) -> str:
    return draft.call("Concat", *halves, axis=1)


def _pad(draft: Draft, op: LinearOp, x: str) -> str:
    before = [b for b, _ in op.padding] or [0] * len(op.size)
    after = [out - n - b for n, out, b in zip(op.size, op.out_size, before, strict=True)]
    return draft.call("Pad", x, draft.integers(0, 0, *before, 0, 0, *after))


def _select(draft: Draft, op: LinearOp, x: str) -> str:
    order = np.arange(op.c_out)[::-1] % op.c_in
    return draft.call("Gather", x, draft.constant(order.astype(np.int64)), axis=1)


def _pixel_shuffle(draft: Draft, op: LinearOp, x: str) -> str:
    return draft.call("DepthToSpace", x, blocksize=op.out_size[0] // op.size[0], mode="CRD")


def _pixel_unshuffle(draft: Draft, op: LinearOp, x: str) -> str:
    return draft.call("SpaceToDepth", x, blocksize=op.size[0] // op.out_size[0])


def _flatten(draft: Draft, op: LinearOp, x: str) -> str:
    return draft.call("Flatten", x)


BUILDERS: dict[str, Callable[..., str]] = {
    "conv": _conv,
    "conv_transposed": _conv_transposed,
    "linear": _linear,
    "per_channel": _per_channel,
    "subtract": _subtract,
    "add": _add,
    "add_map": _add_map,
    "add_tile": _add_tile,
    "average_pool": _average_pool,
    "upsample": _upsample,
    "cat_ones": _cat_ones,
    "concat": _concat,
    "pad": _pad,
    "select": _select,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "flatten": _flatten,
}


def _activation(draft: Draft, tail: str, x: str) -> str:
    if tail == "clip":
        low, high = (draft.constant(np.array(v, np.float32)) for v in (0, 6))
        return draft.call("Clip", x, low, high)
    if tail == "silu":
        return draft.call("Mul", x, draft.call("Sigmoid", x))
    kinds = {"relu": "Relu", "sigmoid": "Sigmoid", "hardswish": "HardSwish", "gelu": "Gelu", "leaky_relu": "LeakyRelu"}
    return draft.call(kinds[tail], x)
