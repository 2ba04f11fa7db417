"""Fold batch norms, normalisations and layer scales into the weights beside them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.absorb import Blocked, Leaf, absorb_above, absorb_below
from nascc.passes.affine import Affine
from nascc.passes.base import Numerics, Reject, RewritePass
from nascc.passes.cancellation import without_residue
from nascc.passes.edit import Edit, absorb
from nascc.passes.eliminate_identities import EliminateIdentities
from nascc.passes.evaluate_constants import EvaluateConstants
from nascc.passes.views import BatchNorm, Conv, Linear

aten = torch.ops.aten


@dataclass(frozen=True)
class Fold:
    """An affine map and the layers that take it."""

    affine: Affine
    leaves: tuple[Leaf, ...]


@dataclass(frozen=True)
class FoldBatchNorm(RewritePass[Fold]):
    """bn(conv(x, w, b)) -> conv(x, w * s, (b - mean) * s + beta);  conv(bn(x), w, b) -> conv(x, w * s, b + w t).

    s = gamma / sqrt(var + eps) and t = beta - mean * s, shape [C]. Convolutions of any rank, grouped and transposed,
    and linear layers; a multiplication by or an addition of one constant per channel counts as a batch norm. The map
    may pass through pooling, resizing, concatenation, reshapes and permutations where it commutes with them.
    Equal up to float rounding; never folded where zero padding would have to carry a shift.
    """

    numerics = Numerics.ROUNDING
    runs_after = (EvaluateConstants, EliminateIdentities)

    def match(self, node: Node) -> Fold | Reject | None:
        bn = BatchNorm.of(node)
        if bn is not None and bn.uses_batch_statistics:
            return Reject(node, "normalises with batch statistics; export the model in eval mode")
        if bn is not None and not bn.has_constant_parameters:
            return Reject(node, "has parameters that are computed from the input")
        if (affine := Affine.of(node)) is None:
            return None
        up = absorb_above(affine.input, affine)
        if not isinstance(up, Blocked):
            return Fold(affine, up)
        down = absorb_below(node, affine)
        if not isinstance(down, Blocked):
            return Fold(affine, down)
        if bn is None and (affine.axis is None or not (up.near or down.near)):
            return None
        return Reject(node, _reason(up, down))

    def rewrite(self, edit: Edit, found: Fold) -> Node:
        made: dict[Node, Node] = {}
        for leaf in found.leaves:
            old = leaf.layer.node
            at = Edit(old)
            made[old] = _folded(at, leaf)
            absorb(made[old], g.sources(found.affine.node))
            at.replace(old, made[old])
        return made.get(found.affine.input, found.affine.input)


def _reason(up: Blocked, down: Blocked) -> str:
    """The reason that says most: a layer was reached, else both."""
    if down.near != up.near:
        return down.reason if down.near else up.reason
    return f"{up.reason}; {down.reason}"


def _folded(edit: Edit, leaf: Leaf) -> Node:
    layer, s, t = leaf.layer, leaf.affine.scale, leaf.affine.shift
    if isinstance(layer, BatchNorm):
        return _rescaled(edit, layer, s, t)
    if leaf.on_outputs:
        weight = layer.weight * _over_outputs(layer, s)
        old = layer.bias_or_zeros * s
        bias = without_residue(old + t, old.abs() + t.abs())
    else:
        weight = layer.weight * _over_inputs(layer, s)
        old, new = layer.bias_or_zeros, _response(layer, t)
        bias = without_residue(old + new, old.abs() + new.abs())
    has_bias = layer.bias_node is not None or bool(bias.any())
    return edit.conv_like(layer, weight=weight, bias=bias if has_bias else None)


def _over_outputs(layer: Conv | Linear, s: Tensor) -> Tensor:
    """`s` [C_out] in the shape that multiplies the weight by output channel."""
    if isinstance(layer, Conv) and layer.transposed:
        rows = s.reshape(layer.groups, 1, -1).expand(-1, layer.in_channels // layer.groups, -1)
        return rows.reshape(layer.in_channels, -1, *[1] * len(layer.kernel))
    return s.reshape(-1, *[1] * (layer.weight.ndim - 1))


def _over_inputs(layer: Conv | Linear, s: Tensor) -> Tensor:
    """`s` [C_in] in the shape that multiplies the weight by input channel."""
    if isinstance(layer, Linear):
        return s
    ones = [1] * len(layer.kernel)
    if layer.transposed:
        return s.reshape(-1, 1, *ones)
    per_group = s.reshape(layer.groups, 1, -1).expand(-1, layer.out_channels // layer.groups, -1)
    return per_group.reshape(layer.out_channels, -1, *ones)


def _response(layer: Conv | Linear, t: Tensor) -> Tensor:
    """What the layer makes of a constant input `t` [C_in], bias apart: `[C_out]`. Transposed layers never get here."""
    if not bool(t.any()):
        return torch.zeros(layer.out_channels, dtype=t.dtype)
    product = layer.weight * _over_inputs(layer, t)
    return product.sum(dim=tuple(range(1, product.ndim)))


def _rescaled(edit: Edit, bn: BatchNorm, s: Tensor, t: Tensor) -> Node:
    """The batch norm with another gamma and beta."""
    mean, var = bn.mean_node, bn.var_node
    assert mean is not None
    ones, zeros = torch.ones_like(s), torch.zeros_like(s)
    gamma = ones if bn.weight_node is None else g.constant(bn.weight_node)
    beta = zeros if bn.bias_node is None else g.constant(bn.bias_node)
    prefix = str(mean.target).rpartition(".")[0] or g.label(bn.node)
    weight = edit.constant(gamma * s, f"{prefix}.weight", like=mean)
    bias = edit.constant(beta * s + t, f"{prefix}.bias", like=mean)
    rest: tuple[Any, ...] = bn.node.args[5:]
    return edit.call(aten.batch_norm.default, bn.input, weight, bias, mean, var, *rest, like=bn.node)
