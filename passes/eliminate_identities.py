"""Remove calls that return what they are given, and join neighbours of one kind."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import is_number
from nascc.passes.base import Numerics, RewritePass
from nascc.passes.edit import Edit

aten = torch.ops.aten

Build = Callable[[Edit], Node]


@dataclass(frozen=True)
class EliminateIdentities(RewritePass[Build]):
    """f(x) -> x where f changes nothing; reshape(reshape(x)) -> reshape(x), permute(permute(x)) -> permute(x).

    Nothing is removed that changes the recorded dtype.
    """

    numerics = Numerics.BITWISE

    def match(self, node: Node) -> Build | None:
        rule = _RULES.get(node.target)
        return None if rule is None else rule(node)

    def rewrite(self, edit: Edit, found: Build) -> Node:
        return found(edit)


def _keep(x: Any, node: Node) -> Build | None:
    """x for f(x), if it is a value of the same recorded dtype and shape."""
    if not isinstance(x, Node) or g.dtype(x) != g.dtype(node) or not _same_shape(x, node):
        return None
    return lambda edit: x


def _same_shape(x: Node, y: Node) -> bool:
    a, b = g.shape(x), g.shape(y)
    return len(a) == len(b) and all(map(g.same, a, b))


def _reshape(node: Node) -> Build | None:
    x = node.args[0]
    if isinstance(x, Node) and (keep := _keep(x, node)) is not None:
        return keep
    if g.is_call(x, *_RESHAPES) and len(x.users) == 1 and g.static_shape(node) is not None:  # type: ignore[union-attr]
        sizes = list(g.static_shape(node) or ())
        return lambda edit: edit.call(aten.reshape.default, x.args[0], sizes)  # type: ignore[union-attr]
    return None


def _permute(node: Node) -> Build | None:
    x, dims = node.args[0], list(node.args[1])  # type: ignore[arg-type]
    if dims == sorted(dims):
        return _keep(x, node)
    if not g.is_call(x, aten.permute.default):
        return None
    inner: Any = x.args  # type: ignore[union-attr]
    joined = [inner[1][d] for d in dims]
    if joined == sorted(joined):
        return lambda edit: inner[0]
    return (lambda edit: edit.call(aten.permute.default, inner[0], joined)) if len(x.users) == 1 else None  # type: ignore[union-attr]


def _neutral(number: float) -> Callable[[Node], Build | None]:
    def rule(node: Node) -> Build | None:
        c = node.args[1]
        return _keep(node.args[0], node) if _is_all(c, number) and not node.kwargs else None

    return rule


def _is_all(c: Any, number: float) -> bool:
    """Is an operand this number, or a floating constant that holds nothing else?"""
    if is_number(c):
        return bool(c == number)
    return g.is_constant(c) and g.is_floating(c) and bool((g.constant(c) == number).all())


def _only_one(node: Node) -> Build | None:
    values: Any = node.args[0]
    return _keep(values[0], node) if len(values) == 1 else None


def _first(node: Node) -> Build | None:
    return _keep(node.args[0], node)


def _repeat(node: Node) -> Build | None:
    return _keep(node.args[0], node) if all(r == 1 for r in node.args[1]) else None  # type: ignore[union-attr]


def _window_of_one(node: Node) -> Build | None:
    kernel, stride = node.args[1:3]
    options = [*node.args[3:]]
    trivial = all(k == 1 for k in (*kernel, *stride)) and not any(isinstance(p, list) and any(p) for p in options[:1])  # type: ignore[misc]
    return _keep(node.args[0], node) if trivial else None


_RESHAPES = (aten.reshape.default, aten.flatten.using_ints, aten.squeeze.dims, aten.unsqueeze.default)

_RULES: dict[Any, Callable[[Node], Build | None]] = {
    **dict.fromkeys(_RESHAPES, _reshape),
    aten.permute.default: _permute,
    aten.mul.Tensor: _neutral(1),
    aten.div.Tensor: _neutral(1),
    aten.add.Tensor: _neutral(0),
    aten.sub.Tensor: _neutral(0),
    aten.pow.Tensor_Scalar: _neutral(1),
    aten.cat.default: _only_one,
    aten.expand.default: _first,
    aten.slice.Tensor: _first,
    aten.constant_pad_nd.default: _first,
    aten._to_copy.default: _first,
    aten.repeat.default: _repeat,
    **dict.fromkeys([aten.avg_pool1d.default, aten.avg_pool2d.default, aten.max_pool2d.default], _window_of_one),
}
