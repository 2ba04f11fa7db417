"""Random networks of inverted bottlenecks, written as ONNX: widths, kernels, expansions, depths and sizes differ."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

SIZES, KERNELS, EXPANSIONS = (96, 112, 128, 160, 192, 224), (3, 5, 7), (1, 2, 3, 4, 6)
ACTIVATIONS = ("Relu", "Clip", "HardSwish", "silu")
MULTIPLES = (1, 4, 8, 8, 8)
"""What the widths of a network are multiples of; most designers take 8."""
CLASSES, OPSET = 1000, 17


@dataclass
class Writer:
    """Nodes and constants of a graph that grows; every method returns the name of a value."""

    rng: np.random.Generator
    activation: str
    dense: float = 0.0
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)

    def call(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def weight(self, *shape: int) -> str:
        return self.constant(self.rng.standard_normal(shape) / max(1.0, float(np.prod(shape[1:]))) ** 0.5)

    def conv(self, x: str, c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> str:
        weight = self.weight(c_out, c_in // groups, kernel, kernel)
        options = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": [kernel // 2] * 4, "group": groups}
        return self.call("Conv", x, weight, self.weight(c_out), **options)

    def activate(self, x: str) -> str:
        if self.activation == "silu":
            return self.call("Mul", x, self.call("Sigmoid", x))
        limits = [self.constant(0), self.constant(6)] if self.activation == "Clip" else []
        return self.call(self.activation, x, *limits)

    def excite(self, x: str, channels: int) -> str:
        """Squeeze and excitation."""
        inner = max(4, channels // 8)
        pooled = self.call("GlobalAveragePool", x)
        gate = self.conv(self.call("Relu", self.conv(pooled, channels, inner)), inner, channels)
        return self.call("Mul", x, self.call("HardSigmoid", gate))


def mbconv_network(seed: int, dense: float = 0.0) -> ModelProto:
    """A network on [1, 3, S, S] with random weights; the same seed gives the same network.

    A share `dense` of its blocks has one dense convolution where others expand and convolve depthwise.
    """
    rng = np.random.default_rng(seed)
    size, multiple = int(rng.choice(SIZES)), int(rng.choice(MULTIPLES))
    writer, excited = Writer(rng, str(rng.choice(ACTIVATIONS)), dense), float(rng.choice([0.0, 0.0, 0.5]))
    width = rng.uniform(8, 40)
    channels = _rounded(width, multiple)
    x = writer.activate(writer.conv("x", 3, channels, 3, 2))
    for stage in range(int(rng.integers(3, 6))):
        width *= rng.uniform(1.1, 1.9)
        for depth in range(int(rng.integers(1, 4))):
            stride, c_out = 2 if depth == 0 and stage > 0 else 1, _rounded(width, multiple)
            x, channels = _block(writer, x, channels, c_out, stride, excited), c_out
    head = _rounded(channels * rng.uniform(1, 4), multiple)
    x = writer.call("GlobalAveragePool", writer.activate(writer.conv(x, channels, head)))
    y = writer.call("Gemm", writer.call("Flatten", x), writer.weight(CLASSES, head), writer.weight(CLASSES), transB=1)
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s)
        for n, s in (("x", [1, 3, size, size]), (y, [1, CLASSES]))
    ]
    graph = helper.make_graph(writer.nodes, f"mbconv-{seed}", ends[:1], ends[1:], writer.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def _block(writer: Writer, x: str, c_in: int, c_out: int, stride: int, excited: float) -> str:
    rng = writer.rng
    kernel, expansion = int(rng.choice(KERNELS)), int(rng.choice(EXPANSIONS))
    inner = c_in * expansion
    if writer.dense and rng.random() < writer.dense:
        y = writer.activate(writer.conv(x, c_in, inner, kernel, stride))
    else:
        y = x if expansion == 1 else writer.activate(writer.conv(x, c_in, inner))
        y = writer.activate(writer.conv(y, inner, inner, kernel, stride, inner))
    if rng.random() < excited:
        y = writer.excite(y, inner)
    y = writer.conv(y, inner, c_out)
    return writer.call("Add", y, x) if stride == 1 and c_in == c_out else y


def _rounded(width: float, multiple: int) -> int:
    return max(multiple, round(width / multiple) * multiple)
