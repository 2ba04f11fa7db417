"""SiLU (swish) as a sigmoid and a product."""

import torch
from torch.fx import Node

from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule

aten = torch.ops.aten


def _build(edit: Edit, node: Node) -> Node:
    """silu(x) -> x * sigmoid(x). Equal up to rounding."""
    x = node.args[0]
    return edit.call(aten.mul.Tensor, x, edit.call(aten.sigmoid.default, x))


SILU = Rule((aten.silu.default,), _build)
