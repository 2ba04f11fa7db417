"""Find the first node of a graph whose value departs from float64."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.compiler.rounding import RoundingInterpreter, promoted
from nascc.compiler.tolerance import FACTOR, floor_of, unlike
from nascc.runtime.compare import compare_output, is_float
from nascc.runtime.runners.base import Array
from nascc.runtime.runners.torch import to_array

GLANCE = 4096
"""Elements of a large value that are compared before all of it is."""


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


@dataclass(frozen=True)
class _Match:
    """The deployed value nearest to a node's, and how far it may be."""

    value: str
    error: float
    allowed: float

    def __bool__(self) -> bool:
        return self.error <= self.allowed


def first_divergence(
    gm: fx.GraphModule, inputs: Sequence[Array], deployed: Mapping[str, Array], names: Mapping[str, str]
) -> Divergence | None:
    """The first node, in topological order, whose deployed value is farther from float64 than rounding explains.

    `deployed` holds ONNX values by name, `names` maps nodes to them as far as that is known; any other node is looked
    for among all values of its shape, and is no divergence where something it feeds is found: it was fused away.
    """
    matches: dict[Node, _Match] = {}
    errors: dict[Node, float] = {}
    for node, exact, rounded in _walk(gm, inputs):
        match = None
        if node.op == "call_function" and isinstance(exact, Tensor) and exact.numel():
            match = _nearest(node, to_array(exact), to_array(rounded), deployed, names)
        errors[node] = match.error if match else _before(node, errors)
        if match is not None:
            matches[node] = match
    found = _found(gm, matches, {node for node in matches if names.get(node.name) in deployed})
    for node, match in matches.items():
        if node not in found:
            return _divergence(node, match.value, _before(node, errors), match.error)
    return None


def _before(node: Node, errors: Mapping[Node, float]) -> float:
    return max((errors[n] for n in node.all_input_nodes), default=0.0)


def _divergence(node: Node, value: str, before: float, after: float) -> Divergence:
    return Divergence(node.name, node.meta.get("module", ""), value, before, after)


def _found(gm: fx.GraphModule, matches: Mapping[Node, _Match], known: set[Node]) -> set[Node]:
    """The nodes whose deployed value agrees; or, where it is not known, that feed one whose value does."""
    found: set[Node] = set()
    for node in reversed(gm.graph.nodes):
        if matches.get(node) or (node not in known and any(user in found for user in node.users)):
            found.add(node)
    return found


def _nearest(
    node: Node, exact: Array, rounded: Array, deployed: Mapping[str, Array], names: Mapping[str, str]
) -> _Match | None:
    """A deployed value that agrees with a node's, else the nearest of the node's module, else of all.

    None when none has its shape.
    """
    wanted = [names[node.name]] if names.get(node.name) in deployed else list(deployed)
    here = {name for name in wanted if name.rpartition("/")[0] == node.meta.get("module", "")}
    own = relative_error(exact, rounded) if is_float(exact.dtype) else 0.0
    best: _Match | None = None
    for name in sorted(wanted, key=lambda name: name not in here):
        other = deployed[name]
        alike = other.shape == exact.shape and is_float(other.dtype) == is_float(exact.dtype)
        if not alike and name != names.get(node.name):
            continue
        allowed = max(FACTOR * own, floor_of(other.dtype))
        match = _Match(name, _error(exact, other, allowed), allowed)
        if match:
            return match
        if best is None or (name not in here, match.error) < (best.value not in here, best.error):
            best = match
    return best


def _error(exact: Array, other: Array, allowed: float) -> float:
    """The relative error; of a part only, where that part is far off already."""
    step = exact.size // GLANCE
    if step > 1 and exact.shape == other.shape:
        glance = relative_error(exact.reshape(-1)[::step], other.reshape(-1)[::step])
        if glance > 1e3 * allowed:
            return glance
    return relative_error(exact, other)


def first_jump(gm: fx.GraphModule, inputs: Sequence[Array], threshold: float) -> Divergence | None:
    """The first node where rounding every value to its recorded dtype costs more than `threshold`, relative."""
    errors: dict[Node, float] = {}
    for node, exact, rounded in _walk(gm, inputs):
        floating = isinstance(exact, Tensor) and exact.is_floating_point()
        errors[node] = relative_error(to_array(exact), to_array(rounded)) if floating else _before(node, errors)
        if errors[node] > threshold:
            return _divergence(node, "", _before(node, errors), errors[node])
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
    """Run a graph in float64 and with rounding, in lockstep; yields each node with both values, which then may die."""
    sides = (fx.Interpreter(gm), RoundingInterpreter(gm))
    tensors = [promoted(array) for array in inputs]
    for side in sides:
        side.env, side.args_iter = {}, iter(tensors)
    with torch.no_grad():
        for node in gm.graph.nodes:
            if node.op == "output":
                return
            values = [side.run_node(node) for side in sides]
            for side, value in zip(sides, values, strict=True):
                side.env[node] = value
            yield node, *values
            for side in sides:
                for dead in side.user_to_last_uses.get(node, ()):
                    del side.env[dead]
