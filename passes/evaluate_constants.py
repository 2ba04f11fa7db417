"""Evaluate what depends on no input."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import Numerics, Reject, RewritePass
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
