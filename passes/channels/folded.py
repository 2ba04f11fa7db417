"""The weight and bias of a layer that reads and writes fewer channels than it did, for the same outputs."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes.cancellation import without_residue
from nascc.passes.channels.demand import Demand
from nascc.passes.channels.mixer import Mixer, ungrouped
from nascc.passes.views import Conv


@dataclass(frozen=True, eq=False)
class Folded:
    """Weight and bias as the layer takes them, and the number of groups left."""

    weight: Tensor
    bias: Tensor | None
    groups: int


def folded(node: Node, mixer: Mixer, demand: Demand) -> Folded:
    """The layer with the channels that must exist; what it read of constant ones goes into its bias.

    sum_c W_c v_c = W_kept v_kept + sum over constant c of gain_c v_c. Where padding would show that at the border, the
    weights go to a constant input that is kept: W_r + sum over constant c of W_c v_c / v_r.
    """
    outputs = demand.needed[node].reshape(mixer.groups, -1)
    facts = demand.analysis.facts(mixer.layer.input)
    needed = mixer.over_inputs(demand.needed[mixer.layer.input])
    value = torch.where(mixer.over_inputs(facts.constant), mixer.over_inputs(facts.value), 0.0)
    gone = torch.where(needed, 0.0, value)
    weight, bias = mixer.weight, mixer.layer.bias_or_zeros.reshape(mixer.groups, -1)
    if bool(gone.any()):
        if mixer.sees_border:
            weight = _onto_one(mixer, needed & (value != 0), value, gone)
        else:
            terms = mixer.gain * gone.unsqueeze(1)
            bias = without_residue(bias + terms.sum(-1), bias.abs() + terms.abs().sum(-1))
    return _picked(mixer, weight, bias, outputs, needed)


def _onto_one(mixer: Mixer, candidates: Tensor, value: Tensor, gone: Tensor) -> Tensor:
    """The weight with what constant inputs gave on the largest constant one that is kept, group by group."""
    weight = mixer.weight.clone()
    largest = torch.where(candidates, value.abs(), -1.0).argmax(1)
    for group in gone.any(1).nonzero().reshape(-1).tolist():
        kept = largest[group]
        ratio = gone[group] / value[group, kept] if bool(candidates[group].any()) else torch.zeros_like(gone[group])
        weight[group, :, kept] += torch.einsum("oit,i->ot", mixer.weight[group], ratio)
    return weight


def _picked(mixer: Mixer, weight: Tensor, bias: Tensor, outputs: Tensor, inputs: Tensor) -> Folded:
    alive = outputs.any(1).nonzero().reshape(-1)
    rows, columns = _indices(outputs[alive]), _indices(inputs[alive])
    weight = weight[alive[:, None, None], rows[:, :, None], columns[:, None, :]]
    bias = bias[alive[:, None], rows].reshape(-1)
    layer = mixer.layer
    has_bias = layer.bias_node is not None or bool(bias.any())
    if isinstance(layer, Conv):
        weight = ungrouped(weight, layer.kernel, layer.transposed)
    else:
        weight = weight[0, :, :, 0]
    return Folded(weight, bias if has_bias else None, len(alive))


def _indices(needed: Tensor) -> Tensor:
    """Indices of the true entries of each row; rows have equally many."""
    return needed.nonzero()[:, 1].reshape(len(needed), -1)
