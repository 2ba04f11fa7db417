"""Which values are images in channels, rows and columns: [N, C, H, W]."""

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


def image_values(flow: Flow) -> set[Node]:
    """Values that a convolution, batch norm or pooling takes or gives, and what elementwise calls make of them."""
    found = {n for node in flow.nodes if g.is_call(node, *IMAGES) for n in (node, node.args[0]) if _has_rank_4(n)}
    edges: dict[Node, set[Node]] = {}
    for node in flow.nodes:
        if torch.Tag.pointwise in getattr(node.target, "tags", ()) and _has_rank_4(node):
            for other in node.all_input_nodes:
                if _has_rank_4(other) and g.shape(other) == g.shape(node):
                    edges.setdefault(node, set()).add(other)
                    edges.setdefault(other, set()).add(node)
    stack = list(found)
    while stack:
        for other in edges.get(stack.pop(), set()) - found:
            found.add(other)
            stack.append(other)
    return found


def _has_rank_4(node: object) -> bool:
    return isinstance(node, Node) and isinstance(v := node.meta.get("val"), Tensor) and v.ndim == 4
