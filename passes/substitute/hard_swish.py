"""Hard-swish as hard sigmoid and a product."""

import torch
from torch.fx import Node

from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule

aten = torch.ops.aten


def _build(edit: Edit, node: Node) -> Node:
    """hardswish(x) -> x * hardsigmoid(x). Equal up to rounding."""
    x = node.args[0]
    return edit.call(aten.mul.Tensor, x, edit.call(aten.hardsigmoid.default, x))


HARD_SWISH = Rule((aten.hardswish.default,), _build)
