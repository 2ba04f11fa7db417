"""Adaptive average pooling as one fixed pooling, or as a matrix product along each dimension."""

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule
from nascc.passes.substitute.shapes import text

aten = torch.ops.aten
FIXED = {
    aten.adaptive_avg_pool1d.default: aten.avg_pool1d.default,
    aten.adaptive_avg_pool2d.default: aten.avg_pool2d.default,
    aten.adaptive_avg_pool3d.default: aten.avg_pool3d.default,
}


def _dims(node: Node) -> list[int]:
    """The pooled dimensions, counted from the front."""
    rank = len(g.shape(node))
    return list(range(rank - 1 - list(FIXED).index(node.target), rank))  # type: ignore[arg-type]


def _sides(node: Node, x: Node) -> list[tuple[int, int]]:
    """Sizes before and after, of each pooled dimension."""
    return [(int(g.shape(x)[d]), int(g.shape(node)[d])) for d in _dims(node)]


def _refusal(node: Node) -> str | None:
    before, after = ([g.shape(n)[d] for d in _dims(node)] for n in (node.args[0], node))  # type: ignore[arg-type]
    if all(size == 1 for size in after) or all(isinstance(size, int) for size in (*before, *after)):
        return None
    return f"pools {text(before)} to {text(after)}, must be fixed sizes; export with fixed height and width"


def _build(edit: Edit, node: Node) -> Node:
    """adaptive_avg_pool(x) -> mean(x), avg_pool(x), or R x C. Equal up to rounding.

    x [N, C, H, W]: to 1 x 1 its mean, in windows of one size a fixed pooling; else R [H', H] and C [W, W'] hold the
    weights of window i, which reaches from floor(i H / H') to ceil((i + 1) H / H').
    """
    x: Node = node.args[0]  # type: ignore[assignment]
    if all(g.shape(node)[d] == 1 for d in _dims(node)):
        return edit.call(aten.mean.dim, x, _dims(node), True)
    sides = _sides(node, x)
    if all(before % after == 0 for before, after in sides):
        kernel = [before // after for before, after in sides]
        return edit.call(FIXED[node.target], x, kernel, kernel)  # type: ignore[index]
    for dim, (before, after) in zip(_dims(node), sides, strict=True):
        if before != after:
            x = _pooled(edit, x, dim, _weights(before, after))
    return x


def _pooled(edit: Edit, x: Node, dim: int, weights: Tensor) -> Node:
    """`x` times weights [after, before] along one dimension."""
    name = f"{g.label(edit.at)}.windows"
    order = [d for d in range(len(g.shape(x))) if d != dim] + [dim]
    if order == sorted(order):
        return edit.call(aten.matmul.default, x, edit.constant(weights.t(), name, like=x))
    if dim == len(order) - 2:
        return edit.call(aten.matmul.default, edit.constant(weights, name, like=x), x)
    last = edit.call(aten.permute.default, x, order)
    product = edit.call(aten.matmul.default, last, edit.constant(weights.t(), name, like=x))
    return edit.call(aten.permute.default, product, [order.index(d) for d in range(len(order))])


def _weights(before: int, after: int) -> Tensor:
    """[after, before]: each window's elements, one over how many they are."""
    matrix = torch.zeros(after, before, dtype=torch.float64)
    for i in range(after):
        start, end = i * before // after, -(-(i + 1) * before // after)
        matrix[i, start:end] = 1 / (end - start)
    return matrix


ADAPTIVE_POOL = Rule(tuple(FIXED), _build, _refusal)
