"""Multiply-accumulate operations of a graph (1 MAC = 2 FLOPs): convolutions, linear layers and matrix products."""

import math
from typing import Any

import torch
from torch import fx
from torch.fx import Node

from nascc.passes import graph as g

aten = torch.ops.aten


def count_macs(gm: fx.GraphModule) -> int:
    """MACs of one run at the captured sizes; a dynamic size counts with the value it was captured with."""
    return sum(_macs(node) for node in gm.graph.nodes if node.op == "call_function")


def _macs(node: Node) -> int:
    if g.is_call(node, aten.convolution.default):
        weight, is_transposed = _sizes(node.args[1]), node.args[6]
        positions = _sizes(node.args[0]) if is_transposed else _sizes(node)
        batch_and_space = positions[0] * math.prod(positions[2:])
        return batch_and_space * math.prod(weight)
    if g.is_call(node, aten.linear.default):
        return math.prod(_sizes(node)) * _sizes(node.args[0])[-1]
    if g.is_call(node, aten.matmul.default):
        return math.prod(_sizes(node)) * _sizes(node.args[0])[-1]
    if g.is_call(node, aten.scaled_dot_product_attention.default):
        query, key, value = (_sizes(a) for a in node.args[:3])
        return math.prod(query) * key[-2] + math.prod(query[:-1]) * key[-2] * value[-1]
    return 0


def _sizes(node: Any) -> list[int]:
    return [s if isinstance(s, int) else _hint(s) for s in g.shape(node)]


def _hint(size: torch.SymInt) -> int:
    return int(size.node.hint or 1)
