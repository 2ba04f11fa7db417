"""Cubic and antialiased resizing as two matrix products."""

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule
from nascc.passes.substitute.shapes import text

aten = torch.ops.aten
ANTIALIASED = (aten._upsample_bilinear2d_aa.vec, aten._upsample_bicubic2d_aa.vec)


def _refusal(node: Node) -> str | None:
    before, after = g.shape(arguments(node)["input"])[2:], g.shape(node)[2:]
    if not all(isinstance(size, int) for size in (*before, *after)):
        return f"resizes {text(before)} to {text(after)}, must be fixed sizes; export with fixed height and width"
    if node.target in ANTIALIASED and after[1] == 1:
        return "resizes to a width of 1, for which torch's antialiasing repeats one row"
    return None


def _build(edit: Edit, node: Node) -> Node:
    """resize(x) -> R x C; x [N, C, H, W], R [H', H] and C [W, W'] hold the weights. Equal up to rounding.

    The weights are what torch itself makes of unit vectors. The product that shrinks more comes first.
    """
    x: Node = arguments(node)["input"]
    rows, columns = (_weights(node, axis) for axis in (0, 1))
    left = edit.constant(rows, f"{g.label(node)}.rows", like=x)
    right = edit.constant(columns.t(), f"{g.label(node)}.columns", like=x)
    if rows.shape[0] * columns.shape[1] <= columns.shape[0] * rows.shape[1]:
        return edit.call(aten.matmul.default, edit.call(aten.matmul.default, left, x), right)
    return edit.call(aten.matmul.default, left, edit.call(aten.matmul.default, x, right))


def _weights(node: Node, axis: int) -> Tensor:
    """The matrix [after, before] by which `node` resizes one spatial axis."""
    a = arguments(node)
    before, after = (int(g.shape(n)[2 + axis]) for n in (a["input"], node))
    side = max(before, 2)
    factors = None if a["scale_factors"] is None else [float(a["scale_factors"][axis]), 1.0]
    size = [after, side] if factors is None else None
    resize: OpOverload = node.target  # type: ignore[assignment]
    columns = torch.eye(before, side, dtype=torch.float64)[None, None]
    resized: Tensor = resize(columns, size, a["align_corners"], factors)
    return resized[0, 0, :, :before]


ANTIALIASED_RESIZE = Rule(ANTIALIASED, _build, _refusal)
CUBIC_RESIZE = Rule((aten.upsample_bicubic2d.vec,), _build, _refusal)
