"""Calls that hold most of a network's work: convolutions and matrix products over positions of an image."""

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g

aten = torch.ops.aten
PRODUCTS = (aten.convolution.default, aten.linear.default, aten.matmul.default)


def is_weighted(node: Node) -> bool:
    """A convolution or linear layer that is applied at more than one position: gates of pooled maps are none."""
    if not g.is_call(node, *PRODUCTS) or not any(map(_holds_weights, node.args[1:2])):
        return False
    value = g.value(node)
    positions = value.shape[2:] if g.is_call(node, aten.convolution.default) else value.shape[1:-1]
    return isinstance(value, Tensor) and _product(positions) > 1


def _holds_weights(node: object) -> bool:
    """Is a value computed from constants alone?"""
    if not isinstance(node, Node) or node.op == "placeholder":
        return False
    return node.op == "get_attr" or all(map(_holds_weights, node.all_input_nodes))


def _product(sizes: torch.Size) -> int:
    total = 1
    for size in sizes:
        total *= int(size)
    return total
