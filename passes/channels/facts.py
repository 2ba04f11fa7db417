"""What is known of the channels of one value, and how channels of one value make up those of another."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.channels.mixer import Mixer


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known of a value of shape [d0, d1, ...], in tensors of the same rank: the layout.

    A dimension of the layout is either that of the value (its channels are told apart) or 1 (nothing is told apart
    along it). `constant` says which channels are one number whatever the input is, `value` holds that number.
    """

    constant: Tensor
    value: Tensor

    @property
    def layout(self) -> tuple[int, ...]:
        """The shape of both tensors."""
        return tuple(self.constant.shape)

    @property
    def zero(self) -> Tensor:
        """Which channels are always zero."""
        return self.constant & (self.value == 0)


@dataclass(frozen=True, eq=False)
class Link:
    """Channel `index[j]` of `operand`, counted through its layout, is channel j of a value; -1: this link is not.

    A `coupled` operand has just the channels of the value, so one can not go without the other; one that is not is
    repeated. `pinned`: the operand's channels can not be told apart, so none of the value's may go.
    """

    operand: Node
    index: Tensor
    coupled: bool = True
    pinned: bool = False

    def gather(self, source: Tensor) -> Tensor:
        """`source`, in the operand's layout, seen through the link; whatever stands first where the index is -1."""
        if not source.numel():
            return source.new_zeros(self.index.shape)
        return source.reshape(-1)[self.index.clamp_min(0)]


@dataclass(frozen=True, eq=False)
class Step:
    """What one call does to channels: facts of its value, where its channels come from, and which are mere copies.

    Without `links` the call mixes channels: as its `mixer` says, or in an unknown way.
    """

    facts: Facts
    links: tuple[Link, ...] | None = None
    copies: tuple[Link, ...] = ()
    mixer: Mixer | None = None


def live(layout: Sequence[int], dtype: torch.dtype = torch.float64) -> Facts:
    """Facts of a value of which nothing is known."""
    return Facts(torch.zeros(tuple(layout), dtype=torch.bool), torch.zeros(tuple(layout), dtype=dtype))


def settled(constant: Tensor, value: Tensor) -> Facts:
    """Facts whose values are zero where nothing is known; numbers that are not finite count as unknown."""
    constant = constant & value.isfinite()
    return Facts(constant, torch.where(constant, value, torch.zeros_like(value)))


def layout_of(node: Node, axis: int | None) -> tuple[int, ...]:
    """The layout that tells the channels along `axis` apart; a size that is open tells nothing apart."""
    sizes = g.shape(node)
    return tuple(int(s) if k == axis and isinstance(s, int) else 1 for k, s in enumerate(sizes))


def positions(layout: Sequence[int]) -> Tensor:
    """Every channel of a layout, by its number."""
    count = 1
    for size in layout:
        count *= size
    return torch.arange(count).reshape(tuple(layout))


def through(links: Sequence[Link], facts: Sequence[Facts]) -> Facts:
    """Facts of a value whose channels are those of its operands; where several links meet they must agree."""
    constant = torch.ones_like(links[0].index, dtype=torch.bool)
    value = torch.zeros_like(links[0].index, dtype=facts[0].value.dtype)
    seen = torch.zeros_like(constant)
    for link, known in zip(links, facts, strict=True):
        here, number = link.index >= 0, link.gather(known.value)
        agrees = link.gather(known.constant) & (~seen | (number == value))
        constant = constant & (~here | agrees)
        value, seen = torch.where(here, number, value), seen | here
    return settled(constant & seen, value)
