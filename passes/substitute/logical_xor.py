"""Exclusive or as two comparisons."""

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import Numerics
from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule

aten = torch.ops.aten


def _refusal(node: Node) -> str | None:
    if node.target is aten.bitwise_xor.Tensor and g.value(node).dtype is not torch.bool:
        return f"combines the bits of integers ({g.value(node).dtype}), must be of booleans"
    return None


def _build(edit: Edit, node: Node) -> Node:
    """logical_xor(x, y) -> not ((x == 0) == (y == 0)). Exact; a bitwise xor of booleans counts as one."""
    zeros = [edit.call(aten.logical_not.default, value) for value in node.args[:2]]
    return edit.call(aten.logical_not.default, edit.call(aten.eq.Tensor, *zeros))


LOGICAL_XOR = Rule((aten.logical_xor.default, aten.bitwise_xor.Tensor), _build, _refusal, Numerics.BITWISE)
