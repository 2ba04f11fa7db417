"""The test for infinity as a comparison."""

import math

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import Numerics
from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule

aten = torch.ops.aten


def _is_of_floats(node: Node) -> bool:
    return g.is_floating(node.args[0])


def _build(edit: Edit, node: Node) -> Node:
    """isinf(x) -> abs(x) == inf. Exact."""
    return edit.call(aten.eq.Scalar, edit.call(aten.abs.default, node.args[0]), math.inf)


IS_INF = Rule((aten.isinf.default,), _build, numerics=Numerics.BITWISE, applies=_is_of_floats)
