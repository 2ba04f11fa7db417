"""Mish as softplus, tanh and a product."""

import torch
from torch.fx import Node

from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule

aten = torch.ops.aten


def _build(edit: Edit, node: Node) -> Node:
    """mish(x) -> x * tanh(softplus(x)). Equal up to rounding."""
    x = node.args[0]
    return edit.call(aten.mul.Tensor, x, edit.call(aten.tanh.default, edit.call(aten.softplus.default, x)))


MISH = Rule((aten.mish.default,), _build)
