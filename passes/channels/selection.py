"""where and masked_fill with a mask that is known: each channel is that of the side it takes."""

from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

aten = torch.ops.aten
Operand = tuple[Tensor, Tensor]
"""(which channels are one number, that number), in the layout of the result."""

SIDES: dict[Any, tuple[int, int, int]] = {
    **dict.fromkeys([aten.where.self, aten.where.ScalarOther, aten.where.ScalarSelf, aten.where.Scalar], (0, 1, 2)),
    **dict.fromkeys([aten.masked_fill.Scalar, aten.masked_fill.Tensor], (1, 2, 0)),
}
"""Which arguments are the mask, what stands where it is true, and what stands elsewhere."""


def taken(node: Node, operands: dict[Node, Operand]) -> list[tuple[Any, Tensor]]:
    """The two sides of a selection, each with the channels that are taken from it; nothing for other calls."""
    if node.target not in SIDES or node.kwargs or len(node.args) != 3:
        return []
    mask, here, there = (node.args[k] for k in SIDES[node.target])
    if not isinstance(mask, Node):
        return []
    known, value = operands[mask]
    return [(here, known & (value != 0)), (there, known & (value == 0))]
