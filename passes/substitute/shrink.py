"""Hard and soft shrinkage as a choice and a difference."""

import torch
from torch.fx import Node

from nascc.passes.arguments import arguments
from nascc.passes.base import Numerics
from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule

aten = torch.ops.aten


def _build(edit: Edit, node: Node) -> Node:
    """hardshrink(x) -> 0 where |x| <= limit, else x; softshrink(x) -> x - clamp(x, -limit, limit). Exact."""
    a = arguments(node)
    x, limit = a["self"], float(a["lambd"])
    if node.target is aten.softshrink.default:
        return edit.call(aten.sub.Tensor, x, edit.call(aten.hardtanh.default, x, -limit, limit))
    small = edit.call(aten.le.Scalar, edit.call(aten.abs.default, x), limit)
    return edit.call(aten.where.ScalarSelf, small, 0.0, x)


SHRINK = Rule((aten.hardshrink.default, aten.softshrink.default), _build, numerics=Numerics.BITWISE)
