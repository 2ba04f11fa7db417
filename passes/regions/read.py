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
from nascc.passes.regions.flattened import flattening
from nascc.passes.regions.shuffles import shuffle
from nascc.passes.views import Conv, Linear

aten = torch.ops.aten


@dataclass(frozen=True)
class Read:
    """Calls as a leaf of a region, last one first, and the value they read."""

    input: Node
    leaf: Leaf
    calls: tuple[Node, ...]

    @property
    def node(self) -> Node:
        """The call whose value is the leaf's."""
        return self.calls[0]


def read(node: Node) -> Read | Refusal | None:
    """The linear operator that `node` is; None when it is none, a refusal when it can not be described.

    Channels stand on axis 1, with every axis behind it spatial; on vectors [..., C] they stand last.
    """
    if node.op != "call_function" or not isinstance(node.meta.get("val"), torch.Tensor):
        return None
    if not g.is_floating(node):
        whole = node.target in (aten.convolution.default, aten.linear.default)
        return Refusal(f"must compute with floating-point numbers, found {g.dtype(node)}") if whole else None
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


def _leaf(node: Node, x: Any, operator: Any, kind: str, flattens: bool = False) -> Read | Refusal:
    if isinstance(operator, Refusal):
        return operator
    return Read(x, Leaf(node.name, operator, kind, flattens), (node,))


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
    if (flat := flattening(layer.input)) is None:
        return _leaf(node, layer.input, convert.linear(layer.weight, layer.bias), "linear")
    operator = convert.linear_on_flattened(layer.weight, layer.bias, flat.size)
    return Read(flat.image, Leaf(node.name, operator, "linear", flattens=True), (node, *flat.calls))


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


def _mean(node: Node) -> Read | Refusal | None:
    """A mean over all pixels, which it keeps as one or leaves out."""
    a = arguments(node)
    x = a["self"]
    if rank_of(x) < 1 or sorted(a["dim"] or ()) != list(range(2, len(g.shape(x)))):
        return None
    operator = pool.global_average_pool(int(g.shape(x)[1]), sizes_of(x), known_of(x))
    return _leaf(node, x, operator, "average_pool", flattens=not a["keepdim"])


def _adaptive_average(node: Node) -> Read | Refusal | None:
    """A plain pool where the output size divides the input's, a mean of its own windows elsewhere."""
    a = arguments(node)
    x, outputs = a["self"], tuple(a["output_size"])
    if len(g.shape(x)) != len(outputs) + 2 or not all(isinstance(n, int) for n in outputs):
        return None
    operator = pool.adaptive_average_pool(int(g.shape(x)[1]), outputs, sizes_of(x), known_of(x))
    return _leaf(node, x, operator, "average_pool")


def _shuffle_by_hand(node: Node) -> Read | Refusal | None:
    if (found := shuffle(node)) is None:
        return None
    operator = rearrange.select(found.order, len(found.order), rank_of(node))
    return Read(found.image, Leaf(node.name, operator, "select"), found.calls)


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
    """Nearest upsampling by whole factors."""
    x: Any = node.args[0]
    factors = [after // max(1, before) for before, after in zip(sizes_of(x), sizes_of(node), strict=True)]
    if not all(g.same(n * f, m) for n, f, m in zip(g.shape(x)[2:], factors, g.shape(node)[2:], strict=True)):
        return Refusal(f"nearest upsampling must have whole factors, found {list(g.shape(x))} -> {list(g.shape(node))}")
    operator = rearrange.nearest_upsampling(int(g.shape(x)[1]), factors, sizes_of(x))
    return _leaf(node, x, operator, "upsample")


_READERS: dict[Any, Callable[[Node], Read | Refusal | None]] = {
    aten.convolution.default: _conv,
    aten.linear.default: _linear,
    **dict.fromkeys([aten.avg_pool1d.default, aten.avg_pool2d.default, aten.avg_pool3d.default], _average_pool),
    **dict.fromkeys(
        [aten.adaptive_avg_pool1d.default, aten.adaptive_avg_pool2d.default, aten.adaptive_avg_pool3d.default],
        _adaptive_average,
    ),
    aten.mean.dim: _mean,
    aten.reshape.default: _shuffle_by_hand,
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
