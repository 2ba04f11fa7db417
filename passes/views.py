"""Typed views: an ATen call as named fields. `View.of(node)` is None when the node is something else."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments

aten = torch.ops.aten


@dataclass(frozen=True)
class Weighted(ABC):
    """A call with a constant weight and an optional constant bias."""

    node: Node
    input: Node
    weight_node: Node
    bias_node: Node | None

    @property
    def name(self) -> str:
        """Module path, for messages."""
        return g.label(self.node)

    @property
    def weight(self) -> Tensor:
        """The weight in float64."""
        return g.constant(self.weight_node)

    @property
    def bias(self) -> Tensor | None:
        """The bias in float64, None where there is none."""
        return None if self.bias_node is None else g.constant(self.bias_node)

    @property
    def bias_or_zeros(self) -> Tensor:
        """The bias `[C_out]`, zeros where there is none."""
        bias = self.bias
        return torch.zeros(self.out_channels, dtype=self.weight.dtype) if bias is None else bias

    @property
    def weight_name(self) -> str:
        """Dotted name of the weight."""
        return str(self.weight_node.target)

    @property
    def bias_name(self) -> str:
        """Dotted name of the bias, or what it would be called beside the weight."""
        if self.bias_node is not None:
            return str(self.bias_node.target)
        prefix, _, leaf = self.weight_name.rpartition(".")
        new = leaf.replace("weight", "bias") if "weight" in leaf else f"{leaf}_bias"
        return f"{prefix}.{new}" if prefix else new

    @property
    @abstractmethod
    def out_channels(self) -> int:
        """Number of output channels."""


@dataclass(frozen=True)
class Conv(Weighted):
    """A convolution of any rank, transposed or not.

    Weight `[C_out, C_in/g, *k]`, transposed `[C_in, C_out/g, *k]`; the options are lists, one entry a dimension.
    """

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    transposed: bool
    output_padding: list[int]
    groups: int

    TARGET: ClassVar[Any] = aten.convolution.default
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ("stride", "padding", "dilation", "transposed", "output_padding", "groups")

    @classmethod
    def of(cls, node: object) -> "Conv | None":
        """The convolution at `node` whose weight and bias are constants, else None."""
        if not isinstance(node, Node) or not g.is_call(node, cls.TARGET):
            return None
        x, w, b, *options = node.args
        if not isinstance(x, Node) or not g.is_constant(w) or not (b is None or g.is_constant(b)):
            return None
        return cls(node, x, w, b, *options)  # type: ignore[arg-type]

    @property
    def out_channels(self) -> int:
        """Number of output channels."""
        shape = self.weight.shape
        return shape[1] * self.groups if self.transposed else shape[0]

    @property
    def in_channels(self) -> int:
        """Number of input channels."""
        shape = self.weight.shape
        return shape[0] if self.transposed else shape[1] * self.groups

    @property
    def kernel(self) -> tuple[int, ...]:
        """Kernel size, one entry a spatial dimension."""
        return tuple(self.weight.shape[2:])

    @property
    def is_padded(self) -> bool:
        """Does the convolution read zeros beyond the border?"""
        return any(self.padding)


@dataclass(frozen=True)
class Linear(Weighted):
    """A linear layer on the last axis; weight `[C_out, C_in]`."""

    TARGET: ClassVar[Any] = aten.linear.default
    ATTRIBUTES: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def of(cls, node: object) -> "Linear | None":
        """The linear layer at `node` whose weight and bias are constants, else None."""
        if not isinstance(node, Node) or not g.is_call(node, cls.TARGET):
            return None
        x, w, b = (*node.args, None)[:3]
        if not isinstance(x, Node) or not g.is_constant(w) or not (b is None or g.is_constant(b)):
            return None
        return cls(node, x, w, b)  # type: ignore[arg-type]

    @property
    def out_channels(self) -> int:
        """Number of output features."""
        return self.weight.shape[0]


@dataclass(frozen=True)
class BatchNorm:
    """A batch norm; in inference x * scale + shift per channel of axis 1."""

    node: Node
    input: Node
    weight_node: Node | None
    bias_node: Node | None
    mean_node: Node | None
    var_node: Node | None
    uses_batch_statistics: bool
    eps: float

    @classmethod
    def of(cls, node: object) -> "BatchNorm | None":
        """The batch norm at `node`, else None."""
        if not isinstance(node, Node) or not g.is_call(node, aten.batch_norm.default):
            return None
        a = arguments(node)
        train = bool(a["training"]) or a["running_mean"] is None or a["running_var"] is None
        return cls(node, a["input"], a["weight"], a["bias"], a["running_mean"], a["running_var"], train, a["eps"])

    @property
    def has_constant_parameters(self) -> bool:
        """Are all four parameters constants, or absent?"""
        return all(
            n is None or g.is_constant(n) for n in (self.weight_node, self.bias_node, self.mean_node, self.var_node)
        )

    @property
    def scale(self) -> Tensor:
        """gamma / sqrt(var + eps), shape `[C]`."""
        assert self.var_node is not None
        inverse = (g.constant(self.var_node) + self.eps).rsqrt()
        return inverse if self.weight_node is None else g.constant(self.weight_node) * inverse

    @property
    def shift(self) -> Tensor:
        """beta - mean * scale, shape `[C]`."""
        assert self.mean_node is not None
        shift = -g.constant(self.mean_node) * self.scale
        return shift if self.bias_node is None else shift + g.constant(self.bias_node)
