"""A convolution or linear layer seen as what mixes channels: which output reads which input, and how strongly."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.views import Conv, Linear


@dataclass(frozen=True, eq=False)
class Mixer:
    """A layer with its weight as `[groups, outputs, inputs, taps]`, outputs and inputs of each group."""

    layer: Conv | Linear
    weight: Tensor
    axis: int

    @property
    def groups(self) -> int:
        """Number of groups."""
        return int(self.weight.shape[0])

    @property
    def inputs(self) -> int:
        """Number of inputs of each group."""
        return int(self.weight.shape[2])

    @cached_property
    def support(self) -> Tensor:
        """Which output reads which input, `[groups, outputs, inputs]`; NaN counts as read."""
        return (self.weight != 0).any(-1)

    @cached_property
    def gain(self) -> Tensor:
        """What an output makes of an input that is 1 everywhere, `[groups, outputs, inputs]`."""
        return self.weight.sum(-1)

    @property
    def sees_border(self) -> bool:
        """Does an input that is constant come out different at the border?"""
        return isinstance(self.layer, Conv) and (self.layer.transposed or self.layer.is_padded)

    def over_inputs(self, facts: Tensor) -> Tensor:
        """What is known of the layer's input, in its layout, as `[groups, inputs]`."""
        return facts.reshape(-1).expand(self.groups * self.inputs).reshape(self.groups, self.inputs)

    @staticmethod
    def of(node: Node) -> "Mixer | None":
        """The layer at `node`, else None."""
        if (conv := Conv.of(node)) is not None:
            return Mixer(conv, grouped(conv.weight, conv.groups, conv.transposed), 1)
        linear = Linear.of(node)
        if linear is None:
            return None
        return Mixer(linear, linear.weight[None, :, :, None], len(g.shape(node)) - 1)


def grouped(weight: Tensor, groups: int, transposed: bool) -> Tensor:
    """The weight of a convolution as `[groups, outputs, inputs, taps]`."""
    apart = weight.reshape(groups, weight.shape[0] // groups, weight.shape[1], -1)
    return apart.transpose(1, 2) if transposed else apart


def ungrouped(weight: Tensor, kernel: tuple[int, ...], transposed: bool) -> Tensor:
    """The opposite of `grouped`."""
    apart = weight.transpose(1, 2) if transposed else weight
    return apart.reshape(-1, apart.shape[2], *kernel)


def keeps_positions(layer: Conv | Linear) -> bool:
    """Does the middle tap of an output read the pixel at its own place?"""
    if isinstance(layer, Linear):
        return True
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel, strict=True)]
    even = all(2 * p == r for p, r in zip(layer.padding, reach, strict=True)) and all(k % 2 for k in layer.kernel)
    return not layer.transposed and even and all(s == 1 for s in layer.stride)


def middle(layer: Conv | Linear) -> int:
    """The number of the middle tap."""
    at = 0
    for k in layer.kernel if isinstance(layer, Conv) else ():
        at = at * k + k // 2
    return at


def dirac(mixer: Mixer, live: Tensor) -> Tensor:
    """For each output the input it repeats unchanged, -1 where it does not: `[groups, outputs]`.

    Such an output has one tap, of 1 and in the middle, besides those on inputs that are not `live` (always zero).
    """
    reads = mixer.support & live.unsqueeze(1)
    none = torch.full(reads.shape[:2], -1)
    if not keeps_positions(mixer.layer) or not bool((reads.sum(-1) == 1).any()):
        return none
    at = reads.int().argmax(-1)
    taps = mixer.weight.gather(2, at[..., None, None].expand(*at.shape, 1, mixer.weight.shape[3]))[:, :, 0]
    wanted = torch.zeros(taps.shape[-1], dtype=taps.dtype)
    wanted[middle(mixer.layer)] = 1
    no_bias = mixer.layer.bias_or_zeros.reshape(mixer.groups, -1) == 0
    is_copy = (reads.sum(-1) == 1) & (taps == wanted).all(-1) & no_bias
    return torch.where(is_copy, at + torch.arange(mixer.groups)[:, None] * mixer.inputs, none)
