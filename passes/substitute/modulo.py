"""Remainders and rounded-down quotients of integers by quotients that round towards zero."""

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.base import Numerics
from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule

aten = torch.ops.aten
REMAINDERS = (aten.remainder.Tensor, aten.remainder.Scalar)
FMODS = (aten.fmod.Tensor, aten.fmod.Scalar)
FLOORS = (aten.floor_divide.default, aten.floor_divide.Scalar, aten.div.Tensor_mode)


def _is_modulo(node: Node) -> bool:
    """Quotients that round towards zero are left, and remainders of fractions that a rounded-down quotient gives."""
    if node.target is aten.div.Tensor_mode and arguments(node)["rounding_mode"] != "floor":
        return False
    return node.target in FMODS or not g.is_floating(node)


def _refusal(node: Node) -> str | None:
    if g.is_floating(node):
        return "takes the remainder of fractions, which no rounded quotient gives exactly; must be of integers"
    return None


def _build(edit: Edit, node: Node) -> Node:
    """fmod(a, b) -> r; remainder(a, b) -> r', r' = r + b where r and b differ in sign; a // b -> (a - r') / b. Exact.

    r = a - (a / b) * b, quotients of integers, rounded towards zero.
    """
    a, b = arguments(node)["self"], arguments(node)["other"]
    rest = edit.call(aten.sub.Tensor, a, edit.call(aten.mul.Tensor, _quotient(edit, a, b), b))
    if node.target in FMODS:
        return rest
    rest = edit.call(aten.where.self, _differs_in_sign(edit, rest, b), edit.call(aten.add.Tensor, rest, b), rest)
    return rest if node.target in REMAINDERS else _quotient(edit, edit.call(aten.sub.Tensor, a, rest), b)


def _quotient(edit: Edit, a: Node, b: Node | int) -> Node:
    return edit.call(aten.div.Tensor_mode, a, b, rounding_mode="trunc")


def _differs_in_sign(edit: Edit, rest: Node, b: Node | int) -> Node:
    """Is one of them below zero and the other above?"""
    below, above = (edit.call(op, rest, 0) for op in (aten.lt.Scalar, aten.gt.Scalar))
    if not isinstance(b, Node):
        return below if b > 0 else above
    positive, negative = (edit.call(op, b, 0) for op in (aten.gt.Scalar, aten.lt.Scalar))
    ways = [edit.call(aten.logical_and.default, *pair) for pair in ((below, positive), (above, negative))]
    return edit.call(aten.logical_or.default, *ways)


MODULO = Rule((*REMAINDERS, *FMODS, *FLOORS), _build, _refusal, Numerics.BITWISE, applies=_is_modulo)
