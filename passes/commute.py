"""Which operators an affine map passes through unchanged, and what it looks like on the other side."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.affine import Affine
from nascc.passes.arguments import arguments

aten = torch.ops.aten

Side = Affine | str
"""The map on the other side of an operator, or why it can not get there."""


def above(node: Node, affine: Affine) -> Side | None:
    """The map on the input of `node` that equals `affine` on its output; None: no such operator."""
    rule = _RULES.get(node.target) if node.op == "call_function" else None
    return None if rule is None else rule(node, affine, True)


def below(node: Node, affine: Affine) -> Side | None:
    """The map on the output of `node` that equals `affine` on its input; None: no such operator."""
    rule = _RULES.get(node.target) if node.op == "call_function" else None
    return None if rule is None else rule(node, affine, False)


def split_concat(node: Node, affine: Affine) -> list[tuple[Node, Affine]] | str:
    """The map on each input of a concatenation that together equal `affine` on its output."""
    arguments_: Any = node.args
    inputs, dim = list(arguments_[0]), int((*arguments_, 0)[1])
    if len(set(inputs)) < len(inputs):
        return f"'{g.label(node)}' concatenates one value twice"
    if affine.axis != dim:
        return [(x, affine) for x in inputs]
    sizes = [s for x in inputs if isinstance(s := g.shape(x)[dim], int)]
    if len(sizes) < len(inputs):
        return f"'{g.label(node)}' concatenates a dynamic number of channels"
    scales, shifts = torch.split(affine.scale, sizes), torch.split(affine.shift, sizes)
    return [(x, Affine(affine.node, affine.input, s, t, dim)) for x, s, t in zip(inputs, scales, shifts, strict=True)]


def _spatial(n: int | None) -> Callable[[Node, Affine, bool], Side]:
    """Weighted means over the last n dimensions, with weights that sum to 1."""

    def rule(node: Node, affine: Affine, up: bool) -> Side:
        rank = len(g.shape(node))
        if affine.axis is not None and n is not None and affine.axis >= rank - n:
            return f"runs along an axis that '{g.label(node)}' mixes"
        return affine

    return rule


def _average(node: Node, affine: Affine, up: bool) -> Side:
    a = arguments(node)
    pads = any(a["padding"]) and a["count_include_pad"]
    if affine.has_shift and (pads or a.get("divisor_override")):
        return f"'{g.label(node)}' averages zeros of its padding: not exact at the border"
    return _spatial(len(a["kernel_size"]))(node, affine, up)


def _maximum(node: Node, affine: Affine, up: bool) -> Side:
    if bool((affine.scale < 0).any()):
        return f"has a negative scale, which does not commute with the maximum of '{g.label(node)}'"
    n = len(arguments(node)["kernel_size"])
    return _spatial(n)(node, affine, up)


def _reduce(node: Node, affine: Affine, up: bool) -> Side:
    """mean over dimensions other than the channels; amax, amin where no scale is negative."""
    a = arguments(node)
    dims, rank = a["dim"], len(g.shape(a["self"]))
    if node.target is not aten.mean.dim and bool((affine.scale < 0).any()):
        return f"has a negative scale, which does not commute with '{g.label(node)}'"
    if affine.axis is None:
        return affine
    kept = [d for d in range(rank) if d not in dims or a["keepdim"]]
    source = kept[affine.axis] if up else affine.axis
    if source in dims:
        return f"runs along an axis that '{g.label(node)}' reduces"
    return affine.on(source if up else kept.index(affine.axis))


def _permute(node: Node, affine: Affine, up: bool) -> Side:
    dims: Any = node.args[1]
    if affine.axis is None:
        return affine
    return affine.on(dims[affine.axis] if up else dims.index(affine.axis))


def _reshape(node: Node, affine: Affine, up: bool) -> Side:
    x: Any = node.args[0]
    here, there = (g.shape(node), g.shape(x)) if up else (g.shape(x), g.shape(node))
    if affine.axis is None:
        return affine
    for axis in range(len(there)):
        if (repeats := _repeats(here, there, affine.axis, axis)) is not None:
            return affine.with_channels(partial(_repeated, *repeats)).on(axis)
    return f"'{g.label(node)}' takes its channels apart"


def _repeated(outer: int, inner: int, vector: Tensor) -> Tensor:
    return vector.repeat_interleave(inner).repeat(outer)


def _repeats(here: Sequence[Any], there: Sequence[Any], axis: int, other: int) -> tuple[int, int] | None:
    """(outer, inner) when axis `other` of `there` is outer x the channels of `here` x inner, whole."""
    channels = here[axis]
    if g.same(math.prod(here[:axis]), math.prod(there[:other])) and g.same(channels, there[other]):
        return 1, 1
    sizes = (*here[axis + 1 :], *there[other + 1 :], channels, there[other])
    if not all(isinstance(s, int) for s in sizes) or not there[other] or not channels:
        return None
    inner, rest = divmod(math.prod(here[axis + 1 :]), math.prod(there[other + 1 :]) or 1)
    if rest or not inner or there[other] % (channels * inner):
        return None
    outer = there[other] // (channels * inner)
    return (outer, inner) if g.same(math.prod(here[:axis]), math.prod(there[:other]) * outer) else None


def _pixel_shuffle(node: Node, affine: Affine, up: bool) -> Side:
    """pixel_shuffle seen from below, pixel_unshuffle seen from above: each channel repeats r * r times."""
    repeats_above = node.target is aten.pixel_shuffle.default
    r, channels = int((*arguments(node).values(),)[1]), len(g.shape(node)) - 3
    if affine.axis is None:
        return affine
    if affine.axis != channels:
        return f"runs along an axis that '{g.label(node)}' mixes"
    if up is not repeats_above:
        return f"'{g.label(node)}' takes its channels apart"
    return affine.with_channels(lambda v: v.repeat_interleave(r * r))


def _shuffle_channels(node: Node, affine: Affine, up: bool) -> Side:
    groups = int(arguments(node)["groups"])
    if affine.axis is None or affine.axis != 1:
        return affine
    rows = len(affine.scale) // groups if up else groups
    return affine.with_channels(lambda v: v.reshape(rows, -1).t().reshape(-1))


def _mirror_pad(node: Node, affine: Affine, up: bool) -> Side:
    """Padding with copies of values; zero padding where there is no shift."""
    if node.target is aten.constant_pad_nd.default and (affine.has_shift or (*node.args, 0)[2] != 0):
        return f"'{g.label(node)}' pads with a constant: not exact at the border"
    return _spatial(len(node.args[1]) // 2)(node, affine, up)  # type: ignore[arg-type]


def _slice(node: Node, affine: Affine, up: bool) -> Side:
    dim, start, end, step = node.args[1:]
    if affine.axis != dim:
        return affine
    if up or not all(isinstance(k, int) for k in (start, end, step)):
        return f"'{g.label(node)}' takes only some of its channels"
    return affine.with_channels(lambda v: v[start:end:step])


_RULES: dict[Any, Callable[[Node, Affine, bool], Side]] = {
    **dict.fromkeys([aten.avg_pool1d.default, aten.avg_pool2d.default, aten.avg_pool3d.default], _average),
    **dict.fromkeys([aten.max_pool1d.default, aten.max_pool2d.default, aten.max_pool3d.default], _maximum),
    aten.adaptive_avg_pool1d.default: _spatial(1),
    aten.adaptive_avg_pool2d.default: _spatial(2),
    aten.adaptive_avg_pool3d.default: _spatial(3),
    **dict.fromkeys([aten.upsample_nearest1d.vec, aten.upsample_linear1d.vec], _spatial(1)),
    **dict.fromkeys(
        [aten.upsample_nearest2d.vec, aten.upsample_bilinear2d.vec, aten.upsample_bicubic2d.vec]
        + [aten._upsample_bilinear2d_aa.vec, aten._upsample_bicubic2d_aa.vec, aten._upsample_nearest_exact2d.vec],
        _spatial(2),
    ),
    **dict.fromkeys([aten.upsample_nearest3d.vec, aten.upsample_trilinear3d.vec], _spatial(3)),
    **dict.fromkeys([aten.mean.dim, aten.amax.default, aten.amin.default], _reduce),
    aten.permute.default: _permute,
    **dict.fromkeys(
        [aten.reshape.default, aten.flatten.using_ints, aten.squeeze.dims, aten.unsqueeze.default], _reshape
    ),
    **dict.fromkeys([aten.pixel_shuffle.default, aten.pixel_unshuffle.default], _pixel_shuffle),
    **dict.fromkeys([aten.channel_shuffle.default, aten.native_channel_shuffle.default], _shuffle_channels),
    **dict.fromkeys(
        [aten.constant_pad_nd.default, aten.reflection_pad1d.default, aten.reflection_pad2d.default]
        + [aten.reflection_pad3d.default, aten.replication_pad1d.default, aten.replication_pad2d.default]
        + [aten.replication_pad3d.default],
        _mirror_pad,
    ),
    aten.slice.Tensor: _slice,
}
