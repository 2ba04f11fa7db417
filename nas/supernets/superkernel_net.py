"""The supernet of Single-Path NAS: one superkernel a slot, so that it is no larger than its largest network."""

from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from nascc.nas.core.randomness import generator
from nascc.nas.core.selection import Sel
from nascc.nas.core.space import Arch
from nascc.nas.core.supernet import SuperNet
from nascc.nas.spaces import MacroSpace
from nascc.nas.supernets.choice_supernet import ChoiceSuperNet
from nascc.nas.supernets.indicators import Gates, Indicators, drop_factors
from nascc.nas.supernets.superkernel import Superkernel


class SuperkernelNet(ChoiceSuperNet):
    """Without a selection it runs as its weights decide, with gradients to weights and thresholds; with one, as told.

    `extract(decide())(x)` equals the module in eval mode, unless the indicators are `faithful`.
    """

    def __init__(self, space: MacroSpace, indicators: Indicators = Indicators()) -> None:  # noqa: B008
        SuperNet.__init__(self)
        self.space: MacroSpace = space
        parts = OrderedDict[str, nn.Module]()
        for place in space.places:
            is_fixed = place.slot is None
            parts[place.name] = (
                place.ops[0].make(place.ctx) if is_fixed else Superkernel(place.ops, place.ctx, indicators)
            )
        self.parts = nn.ModuleDict(parts)

    @property
    def superkernels(self) -> tuple[Superkernel, ...]:
        """One a slot, in order."""
        return tuple(cast(Superkernel, self.parts[place.name]) for place in self.space.places if place.slot is not None)

    @property
    def thresholds(self) -> tuple[nn.Parameter, ...]:
        """The thresholds of each slot that has any."""
        return tuple(s.thresholds for s in self.superkernels if len(s.thresholds))

    def forward(self, x: Tensor, sel: Sel = None) -> Tensor:
        return self.gated(x, self.gates()) if sel is None else super().forward(x, sel)

    def gates(self, factors: Sequence[Tensor | None] | None = None) -> tuple[Gates, ...]:
        """What each superkernel lets by; `factors` as `dropped` draws them."""
        own = self.superkernels
        return tuple(s.gates(f) for s, f in zip(own, factors or [None] * len(own), strict=True))

    def gated(self, x: Tensor, gates: Sequence[Gates]) -> Tensor:
        """Images [N, C, H, W] -> logits [N, classes], with these gates."""
        for place in self.space.places:
            part = self.parts[place.name]
            x = (
                part.gated(x, gates[place.slot])
                if isinstance(part, Superkernel) and place.slot is not None
                else part(x)
            )
        return x

    def decide(self) -> Arch:
        return tuple(s.decide() for s in self.superkernels)

    def coeffs(self) -> Tensor:
        return self.coefficients(self.gates())

    def coefficients(self, gates: Sequence[Gates]) -> Tensor:
        """[S, C] of gates, with their gradients."""
        rows = [s.coefficients(g) for s, g in zip(self.superkernels, gates, strict=True)]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

    def force(self, arch: Arch) -> None:
        """Set the thresholds so that `decide` gives an architecture. Raises IllegalArchitecture."""
        for superkernel, index in zip(self.superkernels, self.space.check(arch), strict=True):
            superkernel.force(index)

    def dropped(self, keep: float, seed: int, step: int) -> list[Tensor | None]:
        """Factors of indicator dropout for a step, one draw a decision."""
        draw = generator(seed, "indicators", step)
        return [drop_factors(len(s.thresholds), keep, draw) for s in self.superkernels]

    @torch.no_grad()
    def hold(self) -> None:
        """Keep every threshold between 0 and twice the importance: beyond that no gradient would bring it back."""
        for own in self.superkernels:
            if len(own.thresholds):
                own.thresholds.clamp_(torch.zeros_like(own.thresholds), 2 * own.importances() / own.widths)
