"""How the operators that changed between opsets 11 and 18 are written in the older form."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import GraphProto, NodeProto, ValueInfoProto, helper, numpy_helper

from nascc.runtime.runners.base import Array

LAST = np.iinfo(np.int64).max


class CanNotMove(Exception):
    """The older operator can not do this, for the reason given."""


@dataclass(frozen=True)
class Scope:
    """The graph around a node that moves to `opset`: constants and shapes by name, 0 where a size is dynamic."""

    graph: GraphProto
    opset: int
    constants: dict[str, Array]
    shapes: dict[str, tuple[int, ...]]

    @classmethod
    def of(cls, graph: GraphProto, opset: int, outer: "Scope | None" = None) -> "Scope":
        """The scope of a graph, inside of which the names of `outer` are known too."""
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        tensors |= {node.output[0]: _value(node) for node in graph.node if _value(node) is not None}
        constants = {name: numpy_helper.to_array(tensor) for name, tensor in tensors.items()}
        values: list[ValueInfoProto] = [*graph.input, *graph.output, *graph.value_info]
        types = {v.name: v.type.tensor_type for v in values}
        shapes = {n: tuple(d.dim_value for d in t.shape.dim) for n, t in types.items() if t.HasField("shape")}
        shapes |= {name: value.shape for name, value in constants.items()}
        if outer is not None:
            constants, shapes = outer.constants | constants, outer.shapes | shapes
        return cls(graph, opset, constants, shapes)

    def take(self, node: NodeProto, index: int) -> list[int] | None:
        """Remove an input, which must be constant, from the end of a node; None where it is left out."""
        if index >= len(node.input):
            return None
        name = node.input.pop(index)
        if name and name not in self.constants:
            raise CanNotMove(f"computes its input '{name}', which must be constant")
        return [int(v) for v in self.constants[name].reshape(-1)] if name else None

    def constant(self, value: Array, name: str) -> str:
        """The name of a constant of this content."""
        if name not in self.constants:
            self.graph.initializer.append(numpy_helper.from_array(value, name))
            self.constants[name] = value
        return name


def _value(node: NodeProto) -> Any:
    """The tensor of a Constant node."""
    values = [a.t for a in node.attribute if a.name == "value"] if node.op_type == "Constant" else []
    return values[0] if values else None


def _attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """Remove an attribute; its value."""
    for attribute in node.attribute:
        if attribute.name == name:
            value = helper.get_attribute_value(attribute)
            node.attribute.remove(attribute)
            return value
    return default


def _set(node: NodeProto, name: str, value: Any) -> None:
    node.attribute.append(helper.make_attribute(name, value))


def _axes(scope: Scope, node: NodeProto) -> list[NodeProto]:
    """Where the older operator has an attribute `axes`, it takes the place of the second input."""
    if "axes" not in onnx.defs.get_schema(node.op_type, scope.opset).attributes:
        return []
    axes = scope.take(node, 1)
    if _attribute(node, "noop_with_empty_axes", 0) and not axes:
        raise CanNotMove("reduces along no axis")
    if axes:
        _set(node, "axes", axes)
    return []


def _split(scope: Scope, node: NodeProto) -> list[NodeProto]:
    """The number of parts says nothing where they are equal; below 13 the sizes are an attribute."""
    if _attribute(node, "num_outputs") is not None:
        axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
        shape = scope.shapes.get(node.input[0])
        if shape is None or not shape[axis] or shape[axis] % len(node.output):
            raise CanNotMove("may give parts that are not equal")
    if scope.opset < 13 and (sizes := scope.take(node, 1)):
        _set(node, "split", sizes)
    return []


def _reshape(scope: Scope, node: NodeProto) -> list[NodeProto]:
    """`allowzero` says nothing where no size is 0; a computed size is taken for positive."""
    sizes = scope.constants.get(node.input[1])
    if _attribute(node, "allowzero", 0) and sizes is not None and 0 in sizes:
        raise CanNotMove("makes an empty tensor")
    return []


def _shape(scope: Scope, node: NodeProto) -> list[NodeProto]:
    """`start` and `end` become a slice of the whole shape."""
    start, end = _attribute(node, "start", 0), _attribute(node, "end", LAST)
    if (start, end) == (0, LAST):
        return []
    result, node.output[0] = node.output[0], f"{node.output[0]}/whole"
    bounds = [
        scope.constant(np.array([k], np.int64), f"{result}/{side}") for side, k in (("start", start), ("end", end))
    ]
    return [helper.make_node("Slice", [node.output[0], *bounds], [result], name=f"{node.name}/Slice")]


def _softmax(scope: Scope, node: NodeProto) -> list[NodeProto]:
    """Below 13 all axes from `axis` on are one, so that it must be the last."""
    axis = _attribute(node, "axis", -1)
    shape = scope.shapes.get(node.input[0], scope.shapes.get(node.output[0]))
    if axis != -1 and (shape is None or axis != len(shape) - 1):
        raise CanNotMove(f"works along axis {axis}, must work along the last one below opset 13")
    _set(node, "axis", -1)
    return []


def _resize(scope: Scope, node: NodeProto) -> list[NodeProto]:
    """Below 13 the region and the factors must be there, though empty."""
    if scope.opset < 13:
        node.input.extend([""] * (3 - len(node.input)))
        for k, name in ((1, "roi"), (2, "scales")):
            node.input[k] = node.input[k] or scope.constant(np.array([], np.float32), f"no_{name}")
    return []


def _roi_align(scope: Scope, node: NodeProto) -> list[NodeProto]:
    """Below 16 coordinates are not moved by half a pixel."""
    if _attribute(node, "coordinate_transformation_mode", b"half_pixel") != b"output_half_pixel":
        raise CanNotMove("moves its coordinates by half a pixel")
    return []


def _only_ones(value: Any) -> bool:
    return all(v == 1 for v in value)


Move = Callable[[Scope, NodeProto], list[NodeProto]]
"""Rewrites a node in place; the nodes that have to follow it. Raises CanNotMove."""

REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"
MOVES: dict[str, Move] = {
    **{f"Reduce{kind}": _axes for kind in REDUCTIONS.split()},
    "Squeeze": _axes,
    "Unsqueeze": _axes,
    "Split": _split,
    "Reshape": _reshape,
    "Shape": _shape,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "Resize": _resize,
    "RoiAlign": _roi_align,
}
NEUTRAL: dict[tuple[str, str], Callable[[Any], bool]] = {
    ("ArgMax", "select_last_index"): lambda v: v == 0,
    ("ArgMin", "select_last_index"): lambda v: v == 0,
    ("BatchNormalization", "training_mode"): lambda v: v == 0,
    ("GatherND", "batch_dims"): lambda v: v == 0,
    ("GRU", "layout"): lambda v: v == 0,
    ("LSTM", "layout"): lambda v: v == 0,
    ("RNN", "layout"): lambda v: v == 0,
    ("LpPool", "ceil_mode"): lambda v: v == 0,
    ("LpPool", "dilations"): _only_ones,
    ("Resize", "antialias"): lambda v: v == 0,
    ("Resize", "keep_aspect_ratio_policy"): lambda v: v == b"stretch",
    ("ScatterElements", "reduction"): lambda v: v == b"none",
    ("ScatterND", "reduction"): lambda v: v == b"none",
}
"""Attributes that came after opset 11, and the values under which the older operator does the same."""
