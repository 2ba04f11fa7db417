"""Which values are images in channels, rows and columns: [N, C, H, W]."""

import operator
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.blocks.flow import Flow

aten = torch.ops.aten
IMAGES = (
    aten.convolution.default,
    aten.batch_norm.default,
    aten.max_pool2d.default,
    aten.avg_pool2d.default,
    aten.adaptive_avg_pool2d.default,
)
"""Calls whose first argument and result are images when they have four dimensions."""
PARTS = (
    aten.cat.default,
    aten.slice.Tensor,
    aten.split_with_sizes.default,
    aten.channel_shuffle.default,
    operator.getitem,
)
"""Calls that divide, join or reorder channels: their arguments are images where their results are."""


def image_values(flow: Flow) -> set[Node]:
    """Values that a convolution, batch norm or pooling takes or gives, and what elementwise calls make of them."""
    ends = [n for node in flow.nodes if g.is_call(node, *IMAGES) for n in (node, node.args[0])]
    found = {n for n in ends if isinstance(n, Node) and _has_rank_4(n)}
    edges: dict[Node, set[Node]] = {}
    for node in flow.nodes:
        for other in _alike(node):
            edges.setdefault(node, set()).add(other)
            edges.setdefault(other, set()).add(node)
    stack = list(found)
    while stack:
        for other in edges.get(stack.pop(), set()) - found:
            found.add(other)
            stack.append(other)
    return found


def _alike(node: Node) -> Iterator[Node]:
    """The arguments of a call that are images if, and only if, its result is one."""
    if g.is_call(node, *PARTS):
        yield from (n for n in node.all_input_nodes if _has_rank_4(n) or not isinstance(n.meta.get("val"), Tensor))
    elif torch.Tag.pointwise in getattr(node.target, "tags", ()) and _has_rank_4(node):
        yield from (n for n in node.all_input_nodes if _has_rank_4(n) and g.shape(n) == g.shape(node))


def _has_rank_4(node: object) -> bool:
    return isinstance(node, Node) and isinstance(v := node.meta.get("val"), Tensor) and v.ndim == 4
