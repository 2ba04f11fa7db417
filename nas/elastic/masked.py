"""A selection as masks: which filters of a layer each image keeps, and which input channels stand in for the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nascc.nas.core import Arch
from nascc.nas.elastic.bypass import bypassed
from nascc.nas.elastic.layer import Layer
from nascc.nas.elastic.space import Choice, ElasticSpace

Mix = tuple[tuple[int, Tensor], ...]
"""Values with their coefficients."""


@dataclass(frozen=True)
class Picked:
    """What one slot says: a value for every image [n] (n is 1 or the batch), or a mixture of values."""

    values: Tensor | None
    mix: Mix = ()


def picked(space: ElasticSpace, sel: Arch | Tensor, device: torch.device) -> dict[tuple[int, bool], Picked]:
    """By layer, and whether it is about the kernel."""
    found = {}
    for slot, choice in enumerate(space.selected):
        found[choice.layer, choice.is_kernel] = _picked(choice, slot, sel, device)
    return found


def _picked(choice: Choice, slot: int, sel: Arch | Tensor, device: torch.device) -> Picked:
    if not isinstance(sel, Tensor):
        return Picked(torch.tensor([choice.values[sel[slot]]], device=device))
    if not sel.is_floating_point():
        return Picked(torch.tensor(choice.values, device=device)[sel[:, slot].to(device)])
    row = sel[slot, : len(choice.values)]
    running = row.detach().nonzero().flatten().tolist()
    return Picked(None, tuple((choice.values[k], row[k]) for k in running))


@dataclass(frozen=True)
class Masks:
    """`keep` [n, F] of own filters, `rest` [n, F] of bypassed channels, `alive` [n] channels that come out.

    Both are booleans, or sums of coefficients.
    """

    keep: Tensor
    rest: Tensor
    alive: Tensor


def masks_of(layer: Layer, own: Picked | None, inputs: Tensor) -> Masks | None:
    """Masks of a layer whose input has `inputs` [n] channels alive; None where every filter runs.

    A depthwise layer has as many filters as inputs, also where there is nothing to choose.
    """
    if own is None:
        if not layer.depthwise or bool((inputs >= layer.filters).all()):
            return None
        own = Picked(torch.tensor([layer.filters], device=inputs.device))
    if own.values is not None:
        return _masks(layer, own.values, inputs)
    parts = [(_masks(layer, torch.tensor([value], device=inputs.device), inputs), share) for value, share in own.mix]
    keep = torch.stack([part.keep * share for part, share in parts]).sum(0)
    rest = torch.stack([part.rest * share for part, share in parts]).sum(0)
    return Masks(keep, rest, torch.stack([part.alive for part, _ in parts]).amax(0))


def _masks(layer: Layer, filters: Tensor, inputs: Tensor) -> Masks:
    filters = torch.minimum(filters, inputs) if layer.depthwise else filters
    most = torch.clamp(inputs, max=bypassed(layer.filters, layer.threshold, layer.filters))
    alive = torch.maximum(most, filters)
    channel = torch.arange(layer.filters, device=inputs.device)
    keep = channel < filters[:, None]
    return Masks(keep, (channel < alive[:, None]) & ~keep, alive)


def removed(layers: Sequence[Layer], chosen: Sequence[Picked | None], inputs: Sequence[Tensor]) -> Tensor:
    """[n]: for which images all of these layers have no filter left."""
    gone: Tensor | None = None
    for layer, own, there in zip(layers, chosen, inputs, strict=True):
        none = _none_left(layer, own, there)
        gone = none if gone is None else gone & none
    assert gone is not None, "a side without layers is never gone"
    return gone


def _none_left(layer: Layer, own: Picked | None, inputs: Tensor) -> Tensor:
    if own is None:
        return torch.zeros(1, dtype=torch.bool, device=inputs.device)
    if own.values is None:
        return torch.tensor([all(value == 0 for value, _ in own.mix)], device=inputs.device)
    return own.values == 0
