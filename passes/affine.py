"""One affine map per channel, whatever spells it: batch norm, layer scale, normalisation, a constant offset."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import is_number
from nascc.passes.views import BatchNorm

aten = torch.ops.aten


@dataclass(frozen=True)
class Affine:
    """x -> x * scale + shift along `axis`; both `[C]`, or both `[1]` with axis None for the same number everywhere."""

    node: Node
    input: Node
    scale: Tensor
    shift: Tensor
    axis: int | None

    @property
    def has_shift(self) -> bool:
        """Does it move zero?"""
        return bool(self.shift.any())

    def along(self, axis: int, size: int) -> "Affine | None":
        """The same map along `axis` of `size` channels; None when it runs along another axis."""
        if self.axis is None:
            return replace(self, scale=self.scale.expand(size), shift=self.shift.expand(size), axis=axis)
        return self if self.axis == axis and len(self.scale) == size else None

    def on(self, axis: int | None) -> "Affine":
        """The same numbers along another axis; a uniform map stays uniform."""
        return self if self.axis is None else replace(self, axis=axis)

    def with_channels(self, pick: Any) -> "Affine":
        """`pick` applied to both vectors; a uniform map stays as it is."""
        return self if self.axis is None else replace(self, scale=pick(self.scale), shift=pick(self.shift))

    @staticmethod
    def of(node: Node) -> "Affine | None":
        """The affine map that `node` computes with constants, else None. Batch statistics are no constants."""
        if not g.is_floating(node) or node.op != "call_function":
            return None
        if (bn := BatchNorm.of(node)) is not None:
            if bn.uses_batch_statistics or not bn.has_constant_parameters:
                return None
            return Affine(node, bn.input, bn.scale, bn.shift, 1)
        return _arithmetic(node)


def _arithmetic(node: Node) -> Affine | None:
    build = _BUILDERS.get(node.target)
    if build is None or node.kwargs.keys() - {"alpha"}:
        return None
    operands = _operands(node)
    if operands is None:
        return None
    x, constant, x_first = operands
    numbers = build(constant[0], x_first, node.kwargs.get("alpha", 1))
    if numbers is None or g.dtype(x) != g.dtype(node) or len(g.shape(x)) != len(g.shape(node)):
        return None
    scale, shift = (n.expand_as(constant[0]).contiguous() for n in numbers)
    return Affine(node, x, scale, shift, constant[1])


def _operands(node: Node) -> tuple[Node, tuple[Tensor, int | None], bool] | None:
    """(x, (vector, axis), is x the first operand) of arithmetic between a value and a constant."""
    left, right = (*node.args, None)[:2]
    for x, c, first in ((left, right, True), (right, left, False)):
        if isinstance(x, Node) and not g.is_constant(x) and g.is_floating(x):
            vector = _vector(c, x, node)
            if vector is not None:
                return x, vector, first
    return None


def _vector(c: object, x: Node, node: Node) -> tuple[Tensor, int | None] | None:
    """A constant operand as one number per channel of `x` and the axis it runs along (None: one number in all)."""
    if is_number(c):
        return torch.tensor([float(c)], dtype=torch.float64), None  # type: ignore[arg-type]
    if not isinstance(c, Node) or not g.is_constant(c) or not g.is_floating(c):
        return None
    tensor = g.constant(c)
    if tensor.numel() == 1:
        return tensor.reshape(1), None
    long = [k - tensor.ndim for k, size in enumerate(tensor.shape) if size != 1]
    axis = long[0] + len(g.shape(x))
    if len(long) != 1 or axis < 0 or not g.same(g.shape(x)[axis], g.shape(node)[axis]):
        return None
    return tensor.reshape(-1), axis


def _add(c: Tensor, x_first: bool, alpha: float) -> tuple[Tensor, Tensor]:
    return (torch.ones_like(c), c * alpha) if x_first else (torch.full_like(c, alpha), c)


def _sub(c: Tensor, x_first: bool, alpha: float) -> tuple[Tensor, Tensor]:
    return (torch.ones_like(c), -c * alpha) if x_first else (torch.full_like(c, -alpha), c)


def _mul(c: Tensor, x_first: bool, alpha: float) -> tuple[Tensor, Tensor]:
    return c, torch.zeros_like(c)


def _div(c: Tensor, x_first: bool, alpha: float) -> tuple[Tensor, Tensor] | None:
    return (1 / c, torch.zeros_like(c)) if x_first and bool(c.all()) else None


def _rsub(c: Tensor, x_first: bool, alpha: float) -> tuple[Tensor, Tensor]:
    return torch.full_like(c, -alpha), c


_BUILDERS: dict[Any, Any] = {
    aten.add.Tensor: _add,
    aten.sub.Tensor: _sub,
    aten.mul.Tensor: _mul,
    aten.div.Tensor: _div,
    aten.rsub.Scalar: _rsub,
}
