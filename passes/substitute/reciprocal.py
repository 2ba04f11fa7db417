"""Reciprocals as quotients."""

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule

aten = torch.ops.aten


def _is_reciprocal(node: Node) -> bool:
    return node.target is not aten.pow.Tensor_Scalar or arguments(node)["exponent"] in (-1, -0.5)


def _build(edit: Edit, node: Node) -> Node:
    """reciprocal(x), x ** -1 -> 1 / x; rsqrt(x), x ** -0.5 -> 1 / sqrt(x). Equal up to rounding.

    The 1 is a constant tensor: a plain number would make the quotient a reciprocal again.
    """
    a = arguments(node)
    x = a["self"]
    if node.target is aten.rsqrt.default or a.get("exponent") == -0.5:
        x = edit.call(aten.sqrt.default, x)
    one = edit.constant(torch.tensor(1.0, dtype=g.value(node).dtype), f"{g.label(node)}.one", like=node)
    return edit.call(aten.div.Tensor, one, x)


TARGETS = (aten.reciprocal.default, aten.rsqrt.default, aten.pow.Tensor_Scalar)
RECIPROCAL = Rule(TARGETS, _build, applies=_is_reciprocal)
