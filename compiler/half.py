"""The typed fp16 form of an ONNX model: weights and values in fp16, islands of nodes in fp32, ends as they are."""

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from nascc.compiler.errors import UnsupportedByTarget
from nascc.runtime.onnx_file import bodies

HALF, SINGLE = TensorProto.FLOAT16, TensorProto.FLOAT
LARGEST = float(np.finfo(np.float16).max)
_FLOAT_INPUTS = {"Resize": (1, 2), "Upsample": (1,)}
"""Inputs that ONNX wants in fp32 whatever the rest is."""
_ALWAYS_SINGLE = ("QuantizeLinear", "DequantizeLinear", "NonMaxSuppression", "RandomNormal", "RandomUniform", "Range")


def typed_half(model: ModelProto, keep: Collection[str] = ()) -> ModelProto:
    """A copy that computes in fp16; nodes named in `keep` stay in fp32, as do inputs and outputs of the model.

    Casts stand where types meet, once a value, and are named `VALUE/half` and `VALUE/single`; everything else keeps
    its name. Nodes with bodies, quantisation, and weights beyond 65504 stay in fp32. Raises UnsupportedByTarget where
    types can not be inferred.
    """
    return _Halving(model, frozenset(keep)).model()


def island_of(model: ModelProto) -> frozenset[str]:
    """The nodes that can not be in fp16 whatever the values are."""
    return frozenset(_Halving(model, frozenset()).single)


class _Halving:
    def __init__(self, model: ModelProto, keep: frozenset[str]) -> None:
        self.source = model
        self.graph = model.graph
        self.floats = _float_values(model)
        self.weights = {tensor.name: tensor for tensor in self.graph.initializer if tensor.data_type == SINGLE}
        self.single = self._single_nodes(keep)
        self.made: dict[str, NodeProto] = {}
        self.constants: dict[str, TensorProto] = {}

    def model(self) -> ModelProto:
        nodes = list(self._nodes())
        made = ModelProto()
        made.CopyFrom(self.source)
        del made.graph.node[:], made.graph.initializer[:], made.graph.value_info[:]
        made.graph.node.extend(nodes)
        others = [t for t in self.graph.initializer if t.name not in self.weights]
        made.graph.initializer.extend([*others, *self.constants.values()])
        return made

    def _single_nodes(self, keep: frozenset[str]) -> set[str]:
        """Names of nodes in fp32: asked for, or forced; what a body reads from outside must be fp32, too."""
        nodes = list(self.graph.node)
        found = {
            _name(n) for n in nodes if n.name in keep or n.op_type in _ALWAYS_SINGLE or any(True for _ in bodies(n))
        }
        found |= {_name(n) for n in nodes if any(_too_large(self.weights.get(i)) for i in n.input)}
        captured = {name for node in nodes for body in bodies(node) for name in _read_inside(body)}
        return found | {_name(n) for n in nodes if captured.intersection(n.output)}

    def _nodes(self) -> Iterator[NodeProto]:
        halves: set[str] = set()
        outputs = {value.name for value in self.graph.output}
        for node in self.graph.node:
            half = _name(node) not in self.single
            copy = NodeProto()
            copy.CopyFrom(node)
            for position, name in enumerate(node.input):
                wanted = half and position not in _FLOAT_INPUTS.get(node.op_type, ())
                new, cast = self._input(name, wanted, halves)
                copy.input[position] = new
                if cast is not None:
                    yield cast
            if half:
                _halve_attributes(copy)
            ends = [o for o in node.output if half and o in outputs and o in self.floats]
            for position, name in enumerate(node.output):
                if half and name in self.floats:
                    halves.add(name)
                    copy.output[position] = f"{name}/half" if name in ends else name
            yield copy
            for name in ends:
                yield helper.make_node("Cast", [f"{name}/half"], [name], f"{name}/single", to=SINGLE)

    def _input(self, name: str, half: bool, halves: set[str]) -> tuple[str, NodeProto | None]:
        """The name under which a value is read in the type wanted, and the cast that makes it where it is new."""
        if name in self.weights:
            return self._weight(name, half), None
        if name not in self.floats:
            return name, None
        is_output = name in {value.name for value in self.graph.output}
        there = name in halves
        if there == half:
            return (f"{name}/half" if there and is_output else name), None
        if there and is_output:
            return name, None
        new = f"{name}/{'half' if half else 'single'}"
        if new in self.made:
            return new, None
        self.made[new] = helper.make_node("Cast", [name], [new], new, to=HALF if half else SINGLE)
        return new, self.made[new]

    def _weight(self, name: str, half: bool) -> str:
        """A weight in the type wanted; it keeps its name in the type that comes first."""
        tensor = self.weights[name]
        first = self.constants.get(name)
        wanted = HALF if half else SINGLE
        if first is None or first.data_type == wanted:
            new = name
        else:
            new = f"{name}/{'half' if half else 'single'}"
        if new not in self.constants:
            self.constants[new] = _as(np.float16 if half else np.float32, tensor, new)
        return new


def _float_values(model: ModelProto) -> frozenset[str]:
    """Values (weights apart) that are fp32."""
    try:
        typed = onnx.shape_inference.infer_shapes(model, strict_mode=False)
    except Exception as error:  # onnx raises errors of its own, one a cause
        raise UnsupportedByTarget(f"the types of all values must be known for fp16, but: {error}") from error
    graph = typed.graph
    known = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.value_info, *graph.output)}
    missing = [o for n in graph.node for o in n.output if o and not known.get(o)]
    if missing:
        raise UnsupportedByTarget(f"the types of all values must be known for fp16, but that of '{missing[0]}' is not")
    weights = {tensor.name for tensor in graph.initializer}
    return frozenset(name for name, kind in known.items() if kind == SINGLE and name not in weights)


def _name(node: NodeProto) -> str:
    """What tells a node: its name, or its first output where it has none."""
    return str(node.name or node.output[0])


def _too_large(tensor: TensorProto | None) -> bool:
    return tensor is not None and bool(np.abs(numpy_helper.to_array(tensor)).max(initial=0.0) > LARGEST)


def _as(kind: type[np.floating[Any]], tensor: TensorProto, name: str) -> TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(kind), name)


def _halve_attributes(node: NodeProto) -> None:
    """Constants and casts to fp32 become those to fp16."""
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == SINGLE:
            attribute.i = HALF
        elif attribute.type == AttributeProto.TENSOR and attribute.t.data_type == SINGLE:
            attribute.t.CopyFrom(_as(np.float16, attribute.t, attribute.t.name))


def _read_inside(graph: "onnx.GraphProto") -> Iterable[str]:
    """Every name that a body reads."""
    for node in graph.node:
        yield from node.input
        for body in bodies(node):
            yield from _read_inside(body)
