"""GELU through the error function, or through a sigmoid for its tanh approximation."""

import math

import torch
from torch.fx import Node

from nascc.passes.arguments import arguments
from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule

aten = torch.ops.aten
SLOPE = 2 * math.sqrt(2 / math.pi)
CUBIC = 0.044715


def _build(edit: Edit, node: Node) -> Node:
    """gelu(x) -> 0.5 x (1 + erf(x / sqrt(2))); gelu(x, "tanh") -> x sigmoid(x (a + a c x²)). Equal up to rounding.

    a = 2 sqrt(2 / pi), c = 0.044715, from (1 + tanh(z)) / 2 = sigmoid(2 z). The first has the very order of operations
    that runtimes recognise as one GELU.
    """
    x = node.args[0]
    return _through_sigmoid(edit, x) if arguments(node)["approximate"] == "tanh" else _through_erf(edit, x)


def _through_erf(edit: Edit, x: object) -> Node:
    bell = edit.call(aten.erf.default, edit.call(aten.div.Tensor, x, math.sqrt(2)))
    return edit.call(aten.mul.Tensor, edit.call(aten.mul.Tensor, x, edit.call(aten.add.Tensor, bell, 1.0)), 0.5)


def _through_sigmoid(edit: Edit, x: object) -> Node:
    square = edit.call(aten.mul.Tensor, x, x)
    slope = edit.call(aten.add.Tensor, edit.call(aten.mul.Tensor, square, SLOPE * CUBIC), SLOPE)
    return edit.call(aten.mul.Tensor, x, edit.call(aten.sigmoid.default, edit.call(aten.mul.Tensor, x, slope)))


GELU = Rule((aten.gelu.default,), _build)
