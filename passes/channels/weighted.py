"""Convolutions, linear layers, batch norms and PReLU: what their weights make of channels that are constant."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.cancellation import without_residue
from nascc.passes.channels.facts import Facts, Link, Step, positions, settled
from nascc.passes.channels.mixer import Mixer, dirac
from nascc.passes.views import BatchNorm

aten = torch.ops.aten
Known = Callable[[Node], Facts]


def mixed(node: Node, known: Known) -> Step | None:
    """conv(x), linear(x): an output is constant when what it reads is, border included."""
    mixer = Mixer.of(node)
    if mixer is None:
        return None
    facts = known(mixer.layer.input)
    if any(size > 1 for k, size in enumerate(facts.layout) if k != mixer.axis):
        return None
    constant, value = mixer.over_inputs(facts.constant), mixer.over_inputs(facts.value)
    shape = [-1 if k == mixer.axis else 1 for k in range(len(facts.layout))]
    found = settled(*(t.reshape(shape) for t in _responses(mixer, constant, value)))
    source = dirac(mixer, ~(constant & (value == 0))) if facts.layout[mixer.axis] == constant.numel() else None
    copies = () if source is None else (Link(mixer.layer.input, source.reshape(shape)),)
    return Step(found, None, copies, mixer)


def _responses(mixer: Mixer, constant: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """(is it constant, what it is), `[groups, outputs]`, of every output."""
    spoils = ~constant | (value != 0) if mixer.sees_border else ~constant
    is_constant = ~(mixer.support & spoils.unsqueeze(1)).any(-1)
    bias = mixer.layer.bias_or_zeros.reshape(mixer.groups, -1)
    if not bool((constant & (value != 0)).any()):
        return is_constant, bias
    terms = torch.where(constant.unsqueeze(1) & mixer.support, mixer.gain * value.unsqueeze(1), 0.0)
    return is_constant, without_residue(bias + terms.sum(-1), bias.abs() + terms.abs().sum(-1))


def normalised(node: Node, known: Known) -> Step | None:
    """batch_norm(x) in inference: a constant channel stays constant, one with scale 0 becomes its shift."""
    bn = BatchNorm.of(node)
    if bn is None or bn.uses_batch_statistics or not bn.has_constant_parameters:
        return None
    facts = known(bn.input)
    layout = facts.layout
    if layout[1] != len(bn.scale) or max(layout) > layout[1]:
        return None
    shape = [-1 if k == 1 else 1 for k in range(len(layout))]
    scale, shift = bn.scale.reshape(shape), bn.shift.reshape(shape)
    product = facts.value * scale
    value = without_residue(product + shift, product.abs() + shift.abs())
    link = Link(bn.input, positions(layout))
    same = torch.where((scale == 1) & (shift == 0), link.index, -1)
    return Step(settled(facts.constant | (scale == 0), value), (link,), (Link(bn.input, same),))


def prelu(node: Node, known: Known) -> Step | None:
    """prelu(x, w) with one slope per channel of axis 1, or one for all."""
    x, slope = node.args[:2]
    if not g.is_constant(slope):
        return None
    facts = known(x)  # type: ignore[arg-type]
    w = g.constant(slope)  # type: ignore[arg-type]
    if w.numel() > 1 and (len(facts.layout) < 2 or facts.layout[1] != w.numel() or max(facts.layout) > w.numel()):
        return None
    shape = [-1 if k == 1 else 1 for k in range(len(facts.layout))] if w.numel() > 1 else [1] * len(facts.layout)
    value = torch.where(facts.value >= 0, facts.value, facts.value * w.reshape(shape))
    return Step(settled(facts.constant, value), (Link(x, positions(facts.layout)),))  # type: ignore[arg-type]


WEIGHTED: dict[Any, Callable[[Node, Known], Step | None]] = {
    aten.convolution.default: mixed,
    aten.linear.default: mixed,
    aten.batch_norm.default: normalised,
    aten.prelu.default: prelu,
}
