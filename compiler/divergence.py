"""Find the first node of a graph whose value departs from float64."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from onnx import ModelProto
from torch import Tensor, fx
from torch.fx import Node

from nascc.compiler.rounding import RoundingInterpreter, promoted
from nascc.compiler.tolerance import FACTOR, floor_of, unlike
from nascc.runtime.compare import compare_output, is_float
from nascc.runtime.runners.base import Array
from nascc.runtime.runners.torch import to_array


@dataclass(frozen=True)
class Divergence:
    """A node, the module it comes from, and the ONNX value it becomes.

    Errors are relative to the largest absolute value: `before` is the worst among the node's inputs, `after` its own.
    """

    node: str
    module: str
    value: str
    before: float
    after: float

    def __str__(self) -> str:
        where = f" of module '{self.module}'" if self.module else ""
        value = f" (value '{self.value}')" if self.value and self.value != self.node else ""
        return f"node '{self.node}'{where}{value}, error {self.before:.1e} before and {self.after:.1e} after"


def first_divergence(
    gm: fx.GraphModule, inputs: Sequence[Array], deployed: Mapping[str, Array], names: Mapping[str, str]
) -> Divergence | None:
    """The first node, in topological order, whose deployed value is farther from float64 than rounding explains.

    `deployed` holds ONNX values by name, `names` maps nodes to them; nodes without a value are passed over.
    """
    errors: dict[Node, float] = {}
    for node, exact, rounded in _walk(gm, inputs):
        before = max((errors[n] for n in node.all_input_nodes), default=0.0)
        value = names.get(node.name, "")
        if value not in deployed or not isinstance(exact, Tensor):
            errors[node] = before
            continue
        error = relative_error(to_array(exact), deployed[value])
        allowed = FACTOR * relative_error(to_array(exact), to_array(rounded))
        if error > max(allowed, floor_of(deployed[value].dtype)):
            return Divergence(node.name, node.meta.get("module", ""), value, before, error)
        errors[node] = error
    return None


def first_jump(gm: fx.GraphModule, inputs: Sequence[Array], threshold: float) -> Divergence | None:
    """The first node where rounding every value to its recorded dtype costs more than `threshold`, relative."""
    errors: dict[Node, float] = {}
    for node, exact, rounded in _walk(gm, inputs):
        before = max((errors[n] for n in node.all_input_nodes), default=0.0)
        floating = isinstance(exact, Tensor) and exact.is_floating_point()
        errors[node] = relative_error(to_array(exact), to_array(rounded)) if floating else before
        if errors[node] > threshold:
            return Divergence(node.name, node.meta.get("module", ""), "", before, errors[node])
    return None


def relative_error(exact: Array, other: Array) -> float:
    """Largest difference over the largest exact value; infinite when shapes differ, or what is finite does."""
    if exact.shape != other.shape:
        return float("inf")
    if not is_float(other.dtype):
        return float(np.mean(exact != other)) if exact.size else 0.0
    if unlike(exact, other) is not None:
        return float("inf")
    found = compare_output("", exact, other, float("inf"), dtype=other.dtype)
    return found.max_rel or 0.0


def _walk(gm: fx.GraphModule, inputs: Sequence[Array]) -> Iterator[tuple[Node, Any, Any]]:
    """Run a graph in float64 and with rounding, in lockstep; yields each call with both values, which then may die."""
    sides = (fx.Interpreter(gm), RoundingInterpreter(gm))
    tensors = [promoted(array) for array in inputs]
    for side in sides:
        side.env, side.args_iter = {}, iter(tensors)
    with torch.no_grad():
        for node in gm.graph.nodes:
            if node.op == "output":
                return
            values = tuple(side.run_node(node) for side in sides)
            for side, value in zip(sides, values, strict=True):
                side.env[node] = value
            yield node, *values
            for side in sides:
                for dead in side.user_to_last_uses.get(node, ()):
                    del side.env[dead]


def value_names(gm: fx.GraphModule, model: ModelProto, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The ONNX value of each node, as far as it is known: as `given`, by equal names, and for the outputs."""
    present = {output for node in model.graph.node for output in node.output}
    (output,) = gm.graph.find_nodes(op="output")
    known = {node.name: node.name for node in gm.graph.nodes if node.name in present}
    known |= {n.name: v for n, v in zip(output.args[0], (o.name for o in model.graph.output), strict=False)}
    known |= given or {}
    return {node: value for node, value in known.items() if value in present}


def exposable(model: ModelProto) -> tuple[str, ...]:
    """The names of all values that nodes of the main graph compute, in order."""
    return tuple(name for node in model.graph.node for name in node.output if name)
