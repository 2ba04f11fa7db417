"""Read a call of the graph as a linear operator on channels and pixels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.affine import Affine
from nascc.passes.arguments import arguments
from nascc.passes.errors import PassError
from nascc.passes.linear import convert, pool, rearrange
from nascc.passes.linear.operator import Ints, Refusal
from nascc.passes.linear.region import Leaf
from nascc.passes.views import Conv, Linear

aten = torch.ops.aten


@dataclass(frozen=True)
class Read:
    """A call as a leaf of a region, and the value it reads."""

    input: Node
    leaf: Leaf


def read(node: Node) -> Read | Refusal | None:
    """The linear operator that `node` is; None when it is none, a refusal when it can not be described.

    Channels stand on axis 1, with every axis behind it spatial; on vectors [..., C] they stand last.
    """
    if node.op != "call_function" or not g.is_floating(node):
        return None
    reader = _READERS.get(node.target, _affine)
    if reader not in (_affine, _linear) and not _has_fixed_channels(node):
        return None
    try:
        return reader(node)
    except PassError as error:
        return Refusal(str(error))


def _has_fixed_channels(node: Node) -> bool:
    """Do the value and what it is made of have channels on axis 1, in a fixed number?"""
    values = [node, *(n for n in node.all_input_nodes if not g.is_constant(n))]
    shapes = [g.shape(n) for n in values if isinstance(n.meta["val"], torch.Tensor)]
    return all(len(s) > 1 and isinstance(s[1], int) for s in shapes)


def is_channels_last(node: Node) -> bool:
    """Does the call work on vectors [..., C], with every other axis a batch?"""
    return g.is_call(node, aten.linear.default) or (
        (affine := Affine.of(node)) is not None and affine.axis == len(g.shape(node)) - 1 and affine.axis != 1
    )


def rank_of(node: Node) -> int:
    """Number of spatial dimensions of a value whose channels stand on axis 1."""
    return len(g.shape(node)) - 2


def sizes_of(node: Node) -> Ints:
    """Spatial sizes as captured: dynamic ones with the value they were captured with."""
    return tuple(s if isinstance(s, int) else int(s.node.hint) for s in g.shape(node)[2:])


def known_of(node: Node) -> tuple[int | None, ...]:
    """Spatial sizes, None where they are dynamic."""
    return tuple(s if isinstance(s, int) else None for s in g.shape(node)[2:])


def _leaf(node: Node, x: Any, operator: Any, kind: str) -> Read | Refusal:
    return operator if isinstance(operator, Refusal) else Read(x, Leaf(node.name, operator, kind))


def _conv(node: Node) -> Read | Refusal | None:
    if (conv := Conv.of(node)) is None:
        return None
    operator = convert.convolution(
        conv.weight,
        conv.bias,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
        transposed=conv.transposed,
        output_padding=conv.output_padding,
    )
    return _leaf(node, conv.input, operator, "conv_transposed" if conv.transposed else "conv")


def _linear(node: Node) -> Read | Refusal | None:
    if (layer := Linear.of(node)) is None:
        return None
    return _leaf(node, layer.input, convert.linear(layer.weight, layer.bias), "linear")


def _affine(node: Node) -> Read | Refusal | None:
    if (affine := Affine.of(node)) is None:
        return None
    rank = len(g.shape(node))
    axis = affine.axis if affine.axis is not None else 1 if rank > 1 else 0
    if axis not in (1, rank - 1) or not isinstance(g.shape(node)[axis], int):
        return None
    along = affine.along(axis, int(g.shape(node)[axis]))
    if along is None:
        return None
    spatial = 0 if axis == rank - 1 and axis != 1 else max(0, rank - 2)
    shift = along.shift if along.has_shift else None
    kind = "subtract" if bool((along.scale == 1).all()) else "per_channel"
    return _leaf(node, affine.input, convert.per_channel(along.scale, shift, spatial), kind)


def _average_pool(node: Node) -> Read | Refusal | None:
    a = arguments(node)
    x = a["self"]
    window = pool.Pool(
        tuple(a["kernel_size"]),
        tuple(a["stride"]),
        tuple(a["padding"]),
        a["ceil_mode"],
        a["count_include_pad"],
        a.get("divisor_override"),
    )
    operator = pool.average_pool(int(g.shape(x)[1]), window, sizes_of(x), known_of(x))
    return _leaf(node, x, operator, "average_pool")


def _global_average(node: Node) -> Read | Refusal | None:
    """A mean over all pixels that keeps its dimensions: adaptive pooling to 1, or mean(keepdim=True)."""
    a = arguments(node)
    x, rank = a["self"], rank_of(node)
    if node.target is aten.mean.dim:
        is_global = a["keepdim"] and sorted(a["dim"]) == list(range(2, rank + 2))
    else:
        is_global = all(s == 1 for s in a["output_size"])
    if rank < 1 or not is_global or len(g.shape(x)) != rank + 2:
        return None
    one = (1,) * rank
    if None in known_of(x):
        return _leaf(node, x, pool.Averaging(one, adaptive=True), "average_pool")
    operator = pool.average_pool(int(g.shape(x)[1]), pool.Pool(sizes_of(x), one, (0,) * rank), sizes_of(x))
    return _leaf(node, x, operator, "average_pool")


def _pad(node: Node) -> Read | Refusal | None:
    x, sides, value = (*node.args, 0.0)[:3]
    rank = rank_of(node)
    if not isinstance(x, Node) or rank < 1 or not all(isinstance(s, int) for s in sides):  # type: ignore[union-attr]
        return None
    pairs = [(sides[k], sides[k + 1]) for k in range(0, len(sides), 2)][::-1]  # type: ignore[index,arg-type]
    if len(pairs) > rank:
        return None
    padding = [(0, 0)] * (rank - len(pairs)) + pairs
    operator = convert.constant_pad(int(g.shape(x)[1]), padding, float(value))  # type: ignore[arg-type]
    return _leaf(node, x, operator, "pad")


def _pixel_shuffle(node: Node) -> Read | Refusal | None:
    x, factor = node.args
    if not isinstance(x, Node) or rank_of(node) != 2:
        return None
    operator = rearrange.pixel_shuffle(int(g.shape(node)[1]), int(factor))  # type: ignore[arg-type]
    return _leaf(node, x, operator, "pixel_shuffle")


def _pixel_unshuffle(node: Node) -> Read | Refusal | None:
    x, factor = node.args
    if not isinstance(x, Node) or rank_of(node) != 2:
        return None
    operator = rearrange.pixel_unshuffle(int(g.shape(x)[1]), int(factor))  # type: ignore[arg-type]
    return _leaf(node, x, operator, "pixel_unshuffle")


def _channel_shuffle(node: Node) -> Read | Refusal | None:
    x, groups = node.args
    if not isinstance(x, Node):
        return None
    operator = rearrange.channel_shuffle(int(g.shape(x)[1]), int(groups), rank_of(node))  # type: ignore[arg-type]
    return _leaf(node, x, operator, "select")


def _channel_slice(node: Node) -> Read | Refusal | None:
    x, dim, *given = node.args
    start, end, step = (k if isinstance(k, int) else None for k in given)
    if dim != 1 or rank_of(node) < 0 or not isinstance(x, Node) or start is None or end is None or step is None:
        return None
    channels = list(range(int(g.shape(x)[1])))[start:end:step]
    return _leaf(node, x, rearrange.select(channels, int(g.shape(x)[1]), rank_of(node)), "select")


def _nearest(node: Node) -> Read | Refusal | None:
    """Nearest upsampling by whole factors of a static image."""
    x: Any = node.args[0]
    before, after = g.static_shape(x), g.static_shape(node)
    if before is None or after is None:
        return Refusal("nearest upsampling needs a static size")
    if any(b % a for a, b in zip(before[2:], after[2:], strict=True)):
        return Refusal("nearest upsampling must have whole factors")
    factors = [b // a for a, b in zip(before[2:], after[2:], strict=True)]
    return _leaf(node, x, rearrange.nearest_upsampling(before[1], factors, before[2:]), "upsample")


_READERS: dict[Any, Callable[[Node], Read | Refusal | None]] = {
    aten.convolution.default: _conv,
    aten.linear.default: _linear,
    **dict.fromkeys([aten.avg_pool1d.default, aten.avg_pool2d.default, aten.avg_pool3d.default], _average_pool),
    **dict.fromkeys(
        [aten.adaptive_avg_pool1d.default, aten.adaptive_avg_pool2d.default, aten.adaptive_avg_pool3d.default]
        + [aten.mean.dim],
        _global_average,
    ),
    aten.constant_pad_nd.default: _pad,
    aten.pixel_shuffle.default: _pixel_shuffle,
    aten.pixel_unshuffle.default: _pixel_unshuffle,
    aten.channel_shuffle.default: _channel_shuffle,
    aten.slice.Tensor: _channel_slice,
    **dict.fromkeys(
        [aten.upsample_nearest1d.vec, aten.upsample_nearest2d.vec, aten.upsample_nearest3d.vec],
        _nearest,
    ),
}
