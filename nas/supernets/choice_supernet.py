"""The supernet of a macro space: fixed parts, and one choice per slot."""

from collections import OrderedDict
from itertools import takewhile
from typing import Literal

import torch
from torch import Tensor, nn

from nascc.nas.core.selection import Sel, check_selection
from nascc.nas.core.space import Arch
from nascc.nas.core.supernet import SuperNet
from nascc.nas.spaces import MacroSpace
from nascc.nas.spaces.macro_space import Place
from nascc.nas.supernets.choice import Choice, SeparateChoice, like
from nascc.nas.supernets.linear_choice import LinearChoice, can_share
from nascc.nas.supernets.sliced_choice import SlicedChoice, can_slice

Weights = Literal["separate", "sliced"]


class ChoiceSuperNet(SuperNet):
    """Every architecture of a macro space in one module.

    `weights` are `separate` for every operator (as the papers have them) or `sliced` from one superkernel per slot,
    which learns in minutes where separate ones do not; linear operators are slices of it too. Without `affine`, batch
    norms have neither scale nor shift (LightNAS's code).
    """

    def __init__(self, space: MacroSpace, weights: Weights = "separate", affine: bool = True) -> None:
        super().__init__()
        self.space: MacroSpace = space
        self.parts = nn.ModuleDict(OrderedDict((place.name, _part(place, weights)) for place in space.places))
        if not affine:
            _freeze_affine(self)

    def forward(self, x: Tensor, sel: Sel = None) -> Tensor:
        return self.after_prefix(self.prefix(x), sel)

    def prefix(self, x: Tensor) -> Tensor:
        """What no selection decides: images [N, C, H, W] -> what the first searched block reads."""
        for place in self._fixed():
            x = self.parts[place.name](x)
        return x

    def after_prefix(self, x: Tensor, sel: Sel = None) -> Tensor:
        """The rest: what `prefix` gave -> logits [N, classes]. Raises IllegalArchitecture."""
        sel = self.coeffs() if sel is None else sel
        if sel is None:
            sel = self.decide()
        check_selection(sel, self.space, len(x))
        for place in self.space.places[len(self._fixed()) :]:
            part = self.parts[place.name]
            x = _run(part, x, sel, place.slot) if isinstance(part, Choice) and place.slot is not None else part(x)
        return x

    def _fixed(self) -> tuple[Place, ...]:
        """The places before the first searched one."""
        return tuple(takewhile(lambda place: place.slot is None, self.space.places))

    def extract(self, arch: Arch) -> nn.Sequential:
        network = self.space.build(arch)
        like(self, network)
        for part in self.space.parts(arch):
            own = self.parts[part.name]
            if isinstance(own, Choice) and part.slot is not None:
                own = own.extract(arch[part.slot])
            network.get_submodule(part.name).load_state_dict(own.state_dict())
        return network.train(self.training)


def _part(place: Place, weights: Weights) -> nn.Module:
    if place.slot is None:
        return place.ops[0].make(place.ctx)
    if weights == "sliced" and can_share(place.ops):
        return LinearChoice(place.ops, place.ctx)
    if weights == "sliced" and can_slice(place.ops):
        return SlicedChoice(place.ops, place.ctx)
    return SeparateChoice(place.ops, place.ctx)


def _run(choice: Choice, x: Tensor, sel: Arch | Tensor, slot: int) -> Tensor:
    if not isinstance(sel, Tensor):
        return choice.run(x, sel[slot])
    return choice.mix(x, sel[slot]) if sel.is_floating_point() else choice.split(x, sel[:, slot])


def _freeze_affine(module: nn.Module) -> None:
    """Scale one and shift zero, not trained: an extracted network has them as usual."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            with torch.no_grad():
                part.weight.fill_(1).requires_grad_(False)
                part.bias.zero_().requires_grad_(False)
