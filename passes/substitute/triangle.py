"""Upper and lower triangles as a choice by a constant mask."""

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.base import Numerics
from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule
from nascc.passes.substitute.shapes import text

aten = torch.ops.aten


def _refusal(node: Node) -> str | None:
    sides = g.shape(node)[-2:]
    if not all(isinstance(side, int) for side in sides):
        return f"takes a triangle of {text(sides)}, must be fixed sizes; export with fixed sizes"
    return None


def _build(edit: Edit, node: Node) -> Node:
    """triu(x, k) -> where(mask, x, 0), tril alike; x [..., H, W], mask [H, W] a constant. Exact."""
    a = arguments(node)
    x: Node = a["self"]
    keep = torch.triu if node.target is aten.triu.default else torch.tril
    sides = [int(side) for side in g.shape(x)[-2:]]
    mask = edit.constant(keep(torch.ones(sides, dtype=torch.bool), a["diagonal"]), f"{g.label(node)}.mask")
    if g.dtype(x) is torch.bool:
        return edit.call(aten.logical_and.default, mask, x)
    return edit.call(aten.where.ScalarOther, mask, x, 0.0 if g.is_floating(x) else 0)


TRIANGLE = Rule((aten.triu.default, aten.tril.default), _build, _refusal, Numerics.BITWISE)
