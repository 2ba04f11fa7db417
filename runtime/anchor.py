"""The fixed network that everything is measured against: when its own time changes, the machine did."""

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from nascc.runtime.runners.base import Array

CHANNELS, SIZE, LAYERS = 32, 28, 4


def anchor_model() -> ModelProto:
    """Four 3 x 3 convolutions with ReLU on [1, 32, 28, 28]: 29 MMACs, about half a millisecond."""
    weights = np.random.default_rng(0).standard_normal((LAYERS, CHANNELS, CHANNELS, 3, 3)).astype(np.float32) / 17
    nodes, constants = [], []
    for layer in range(LAYERS):
        constants.append(numpy_helper.from_array(weights[layer], f"w{layer}"))
        nodes.append(helper.make_node("Conv", [f"x{layer}", f"w{layer}"], [f"y{layer}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"y{layer}"], [f"x{layer + 1}"]))
    shape = [1, CHANNELS, SIZE, SIZE]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x0", f"x{LAYERS}")]
    graph = helper.make_graph(nodes, "anchor", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def anchor_feed() -> dict[str, Array]:
    """What the anchor runs on."""
    return {"x0": np.random.default_rng(1).standard_normal((1, CHANNELS, SIZE, SIZE)).astype(np.float32)}
