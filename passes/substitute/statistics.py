"""Zero mean and unit variance: what every normalisation is made of."""

from collections.abc import Sequence

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.edit import Edit

aten = torch.ops.aten


def normalised(edit: Edit, x: Node, dims: Sequence[int], eps: float) -> Node:
    """d / sqrt(mean(d ** 2) + eps) with d = x - mean(x), over `dims`; x [...] keeps its shape.

    The square is a power by a constant tensor: in this very form runtimes recognise a layer norm.
    """
    distance = edit.call(aten.sub.Tensor, x, edit.call(aten.mean.dim, x, list(dims), True))
    two = edit.constant(torch.tensor(2.0, dtype=torch.float64), f"{g.label(edit.at)}.exponent", like=x)
    variance = edit.call(aten.mean.dim, edit.call(aten.pow.Tensor_Tensor, distance, two), list(dims), True)
    return edit.call(aten.div.Tensor, distance, edit.call(aten.sqrt.default, edit.call(aten.add.Tensor, variance, eps)))


def scaled_channels(edit: Edit, x: Node, weight: Node | None, bias: Node | None) -> Node:
    """x * w + b; x [N, C, ...], w and b [C] or None."""
    column = [-1, *[1] * (len(g.shape(x)) - 2)]
    if weight is not None:
        x = edit.call(aten.mul.Tensor, x, edit.call(aten.reshape.default, weight, column))
    if bias is not None:
        x = edit.call(aten.add.Tensor, x, edit.call(aten.reshape.default, bias, column))
    return x
