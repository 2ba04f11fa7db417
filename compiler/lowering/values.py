"""Values and operators of the ONNX graph while it is being written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

Dim = int | str
Shape = tuple[Dim, ...]


@dataclass(eq=False, slots=True)
class Value:
    """A tensor of the graph: the result of an operator, a graph input, or (with `tensor`) a constant.

    A dynamic size is the text of its expression. `tensor` may hold a wider float type than `dtype`: it is rounded
    once, when it is written. `users` counts the nodes of the captured graph that read the value.
    """

    dtype: torch.dtype
    shape: Shape
    op: "Op | None" = None
    tensor: torch.Tensor | None = None
    name: str = ""
    users: int = 1

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def is_static(self) -> bool:
        """Are all sizes known numbers?"""
        return all(isinstance(d, int) for d in self.shape)

    def made_by(self, *kinds: str) -> "Op | None":
        """The operator this value comes from, if it is one of `kinds`."""
        return self.op if self.op is not None and self.op.kind in kinds else None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an operator comes from: its module path, and every module path it stands for."""

    module: str = ""
    sources: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class Op:
    """One ONNX operator call."""

    kind: str
    inputs: tuple[Value | None, ...]
    attributes: dict[str, Any]
    origin: Origin
    outputs: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Spec:
    """Type and shape that the captured graph gives a result."""

    dtype: torch.dtype
    shape: Shape


@dataclass(frozen=True)
class Drawn:
    """A finished graph: every operator in topological order, with its inputs and outputs."""

    ops: Sequence[Op]
    inputs: Sequence[Value]
    outputs: Sequence[Value]
    output_names: Sequence[str]


def is_float(dtype: torch.dtype) -> bool:
    """Is it a floating-point type?"""
    return dtype.is_floating_point


def broadcast(a: Shape, b: Shape) -> Shape:
    """The shape of an elementwise result; a size of 1 gives way, and a number wins over an expression."""
    rank = max(len(a), len(b))
    pairs = zip((1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b, strict=True)
    return tuple(_wider(x, y) for x, y in pairs)


def _wider(x: Dim, y: Dim) -> Dim:
    if x == 1 or (isinstance(x, str) and isinstance(y, int) and y != 1):
        return y
    return x
