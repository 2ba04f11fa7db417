"""A linear operator over [N, C, *size] tensors: its weights, and where each of them reads."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from nascc.passes.linear.gain import gain_of, support_of
from nascc.passes.linear.threads import pinned

Ints = tuple[int, ...]
Sizes = tuple[int | None, ...]


@dataclass(frozen=True)
class Refusal:
    """Why something is not exact, or can not be described."""

    reason: str


@dataclass(frozen=True)
class Foreign(Refusal):
    """Why something is no convolution at all, so that there was nothing to expect."""


@dataclass(frozen=True)
class Dear(Refusal):
    """Why something that is exact does not pay."""


@dataclass(frozen=True, eq=False)
class Operator:
    """y[o, n] = bias[o] + sum over i, t of kernel[o, i, t] * x~[i, down * n + offsets[t]], for each spatial dimension.

    x~ is x with up - 1 zeros between its pixels (x~[up * j] = x[j]), and `pad_value` beyond its border. So a
    convolution has up 1, down its stride and offsets dilation * a - padding; a transposed one has down 1, up its
    stride and offsets crop - dilation * a. A size N gives floor((up * (N - 1) + extent) / down) + 1 outputs.

    kernel    [C_out, C_in / groups, *taps] float64; on the meta device for an outline (see `outline`)
    offsets   one ascending tuple of `taps` integers a dimension; a tap that is not listed is zero
    bias      [C_out], None for zeros
    pad_value [C_in], None for zeros; only where up is 1
    ones      [C_out, *taps], None for zeros: a kernel on one more input channel, which is one on the image and zero
              beyond its border; it carries what a bias before a zero padding leaves behind
    multiple  what input sizes of unknown value are multiples of; empty for ones
    remembered  what an outline knows of the values it no longer has
    """

    kernel: Tensor
    offsets: tuple[Ints, ...]
    up: Ints
    down: Ints
    extent: Ints
    groups: int = 1
    bias: Tensor | None = None
    pad_value: Tensor | None = None
    ones: Tensor | None = None
    multiple: Ints = ()
    remembered: tuple[Tensor | None, Tensor] | None = None

    @property
    def rank(self) -> int:
        """Number of spatial dimensions; 0 for a linear layer on vectors."""
        return len(self.up)

    @property
    def c_out(self) -> int:
        """Number of output channels."""
        return self.kernel.shape[0]

    @property
    def c_in(self) -> int:
        """Number of input channels."""
        return self.kernel.shape[1] * self.groups

    @property
    def is_outline(self) -> bool:
        """Does it stand for an operator without holding its kernel?"""
        return self.kernel.is_meta

    @cached_property
    def gain(self) -> Tensor | None:
        """Response to a constant input far from the border, [C_out, C_in / groups]; None when it differs by pixel."""
        if self.remembered is not None:
            return self.remembered[0]
        return pinned(gain_of)(self.kernel, self.offsets, self.up)

    @cached_property
    def support(self) -> Tensor:
        """Which outputs read which inputs at any tap, [C_out, C_in / groups] booleans."""
        return self.remembered[1] if self.remembered is not None else support_of(self.kernel)

    @property
    def bias_or_zeros(self) -> Tensor:
        """The bias [C_out], zeros where there is none."""
        return torch.zeros(self.c_out, dtype=torch.float64) if self.bias is None else self.bias

    @property
    def pad_value_or_zeros(self) -> Tensor:
        """What lies beyond the border, [C_in]."""
        return torch.zeros(self.c_in, dtype=torch.float64) if self.pad_value is None else self.pad_value

    @property
    def is_pointwise(self) -> bool:
        """Does each output pixel read its own input pixel and nothing else?"""
        return self.keeps_size and all(o == (0,) for o in self.offsets) and self.ones is None

    @property
    def keeps_size(self) -> bool:
        """Are outputs as large as inputs, whatever their size?"""
        return not any(self.extent) and all(n == 1 for n in (*self.up, *self.down))

    def out_size(self, size: Sizes) -> Sizes:
        """Output size of an input size; None where the input size is not known."""
        dims = zip(size, self.up, self.down, self.extent, strict=True)
        return tuple(None if n is None else (u * (n - 1) + e) // d + 1 for n, u, d, e in dims)

    def outline(self) -> "Operator":
        """The same operator without the values of its kernel: what planning computes with."""
        if self.is_outline:
            return self
        ones = None if self.ones is None else self.ones.to("meta")
        return replace(self, kernel=self.kernel.to("meta"), ones=ones, remembered=(self.gain, self.support))
