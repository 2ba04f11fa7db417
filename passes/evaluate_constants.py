"""Evaluate what depends on no input."""

from dataclasses import dataclass

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import Numerics, Reject, Rewrite, RewritePass
from nascc.passes.edit import Edit

SMALL = 2**18


@dataclass(frozen=True)
class EvaluateConstants(RewritePass[Tensor]):
    """f(c1, c2, ...) -> c, evaluated in float64.

    Left alone: random operators, and results that would take more room than their inputs (and than `SMALL` values).
    """

    numerics = Numerics.BITWISE

    def match(self, node: Node) -> Tensor | Reject | None:
        if not all(g.is_constant(n) for n in node.all_input_nodes) or not isinstance(node.target, OpOverload):
            return None
        val = node.meta["val"]
        if not isinstance(val, Tensor) or not all(isinstance(s, int) for s in val.shape):
            return None
        if torch.Tag.nondeterministic_seeded in node.target.tags:
            return Reject(node, "is random, so its value is not a constant")
        if val.numel() > max(SMALL, 2 * sum(g.constant(n).numel() for n in node.all_input_nodes)):
            return None
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), g.constant)
        with torch.no_grad():
            result: Tensor = node.target(*args, **kwargs)
        return result.clone(memory_format=torch.contiguous_format)

    def rewrite(self, edit: Edit, found: Tensor) -> Node:
        inputs = edit.at.all_input_nodes
        path = g.module_path(edit.at)
        name = str(inputs[0].target) if inputs else f"{path}.{edit.at.name}".lstrip(".")
        new = edit.constant(found, name)
        new.meta["dtype"] = g.dtype(edit.at)
        return new


def to_evaluate(gm: fx.GraphModule, *, ranges: bool = False) -> list[Node]:
    """Calls on constants that can be evaluated now, and `ranges` that lead to more; others follow from them."""
    return [n for n in gm.graph.nodes if _leads_on(n, ranges) and _value(n) is not None]


def evaluate(gm: fx.GraphModule, *, ranges: bool = False) -> tuple[Rewrite, ...]:
    """Evaluate all of them, for passes that look at numbers."""
    return tuple(r for node in list(gm.graph.nodes) if not node._erased for r in _evaluated(node, ranges))


def _leads_on(node: Node, ranges: bool) -> bool:
    """Is it a call on something, or one on nothing (a range, a filling) that a call on constants reads?"""
    if node.op != "call_function" or node.all_input_nodes:
        return node.op == "call_function"
    return ranges and any(all(map(_depends_on_nothing, u.all_input_nodes)) for u in node.users if g.is_call(u))


def _depends_on_nothing(node: Node) -> bool:
    return g.is_constant(node) or (g.is_call(node) and not node.all_input_nodes)


def _value(node: Node) -> Tensor | None:
    found = EvaluateConstants().match(node)
    return None if isinstance(found, Reject) else found


def _evaluated(node: Node, ranges: bool) -> tuple[Rewrite, ...]:
    if not _leads_on(node, ranges) or (value := _value(node)) is None:
        return ()
    edit = Edit(node)
    new = EvaluateConstants().rewrite(edit, value)
    edit.replace(node, new)
    return (Rewrite(new.name, g.sources(node)),)
