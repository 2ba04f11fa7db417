"""Turned bits of integers as a difference."""

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import Numerics
from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule

aten = torch.ops.aten


def _is_of_integers(node: Node) -> bool:
    return g.value(node).dtype is not torch.bool


def _refusal(node: Node) -> str | None:
    if not g.value(node).dtype.is_signed:
        return f"turns the bits of unsigned integers ({g.value(node).dtype}), must be signed"
    return None


def _build(edit: Edit, node: Node) -> Node:
    """bitwise_not(x) -> -x - 1. Exact."""
    return edit.call(aten.sub.Tensor, edit.call(aten.neg.default, node.args[0]), 1)


BITWISE_NOT = Rule((aten.bitwise_not.default,), _build, _refusal, Numerics.BITWISE, applies=_is_of_integers)
