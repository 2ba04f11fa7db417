"""Exclusive or by and, or, not."""

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
    """logical_xor(x, y) -> (x or y) and not (x and y). Exact; a bitwise xor of booleans counts as one."""
    either, both = (edit.call(op, *node.args[:2]) for op in (aten.logical_or.default, aten.logical_and.default))
    return edit.call(aten.logical_and.default, either, edit.call(aten.logical_not.default, both))


LOGICAL_XOR = Rule((aten.logical_xor.default, aten.bitwise_xor.Tensor), _build, _refusal, Numerics.BITWISE)
