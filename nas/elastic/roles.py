"""What calls of a captured graph do to channels that are gone: keep them zero, make numbers of them, join, mix."""

import math
from enum import Enum, auto
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from nascc.nas.regions.norms import Norm
from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.channels.pointwise import is_pointwise as pointwise
from nascc.passes.views import Conv, Linear

aten = torch.ops.aten


class Role(Enum):
    """Of a call with channels on axis 1."""

    INPUT = auto()
    CONSTANT = auto()
    OUTPUT = auto()
    LAYER = auto()
    """A convolution or linear layer that is understood."""
    NORM = auto()
    KEEP = auto()
    """Zero channels stay zero: f(0) = 0, pooling, resizing, padding of the sides."""
    FILL = auto()
    """Element by element, but f(0) is not 0."""
    SUM = auto()
    PRODUCT = auto()
    FLATTEN = auto()
    """[N, C, H, W] -> [N, C H W] or back at one pixel: channels become equal runs of numbers."""
    OPAQUE = auto()
    """Anything else: what it reads must be whole."""


SPATIAL = (
    aten.avg_pool2d.default,
    aten.max_pool2d.default,
    aten.adaptive_avg_pool2d.default,
    aten.upsample_nearest2d.default,
    aten.upsample_nearest2d.vec,
    aten.upsample_bilinear2d.default,
    aten.upsample_bilinear2d.vec,
)
RESHAPES = (
    aten.reshape.default,
    aten.view.default,
    aten.flatten.using_ints,
    aten.squeeze.dims,
    aten.squeeze.dim,
    aten.unsqueeze.default,
)
SHAPED = (aten.reshape.default, aten.view.default)
"""Of those, the ones that are told the whole shape of their result."""


def role_of(node: Node) -> Role:
    """The role of a node of a captured graph, or of one whose batch norms are modules."""
    plain = {"placeholder": Role.INPUT, "get_attr": Role.CONSTANT, "output": Role.OUTPUT}
    if node.op in plain:
        return plain[node.op]
    if node.op == "call_module":
        return Role.NORM if isinstance(g.owner(node).get_submodule(str(node.target)), Norm) else Role.OPAQUE
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or value.ndim < 2:
        return Role.OPAQUE
    if node.target is aten.batch_norm.default:
        return Role.NORM
    if node.target in (Conv.TARGET, Linear.TARGET):
        return Role.LAYER if _is_layer(node) else Role.OPAQUE
    return _moves(node)


def why_opaque(node: Node) -> str:
    """Why a call needs all channels of what it reads, for a report."""
    if node.target in (Conv.TARGET, Linear.TARGET):
        weight = node.args[1]
        if not (isinstance(weight, Node) and _owns(weight)):
            return "shares its weights or computes them"
        return "is transposed, grouped, or has not two dimensions"
    if any(n.op == "get_attr" and g.constant(n).numel() > 1 for n in node.all_input_nodes):
        return "has numbers of its own for single channels or places"
    return "may mix channels, or tell places apart"


def is_pointwise(node: Node) -> bool:
    """Does the call map each number by itself?"""
    return pointwise(node.target) and len(_tensors(node)) == 1


def run_length(node: Node) -> int:
    """Numbers that one channel becomes in a FLATTEN."""
    return math.prod(_sizes(node.all_input_nodes[0])[2:]) if len(_sizes(node)) == 2 else 1


def _is_layer(node: Node) -> bool:
    conv = Conv.of(node)
    if conv is None:
        linear = Linear.of(node)
        return linear is not None and len(_sizes(node)) == 2 and _owns(linear.weight_node)
    channels = conv.in_channels
    is_depthwise = conv.groups == channels == conv.out_channels
    plain = not conv.transposed and len(conv.kernel) == 2 and (conv.groups == 1 or is_depthwise)
    return plain and _owns(conv.weight_node) and (conv.bias_node is None or _owns(conv.bias_node))


def _owns(constant: Node) -> bool:
    """Is it a constant that one call reads only, under this node or another of the same name?"""
    if constant.op != "get_attr":
        return False
    same = [n for n in constant.graph.nodes if n.op == "get_attr" and n.target == constant.target]
    return sum(len(n.users) for n in same) == 1


def _moves(node: Node) -> Role:
    tensors = _tensors(node)
    if any(n.op == "get_attr" and g.constant(n).numel() > 1 for n in node.all_input_nodes):
        return Role.OPAQUE
    if node.target in SPATIAL or _pools(node) or _pads_sides(node):
        return Role.KEEP
    if is_pointwise(node):
        return Role.KEEP if _keeps_zero(node) else Role.FILL
    if node.target is aten.clone.default:
        return Role.KEEP
    if node.target in (aten.add.Tensor, aten.sub.Tensor) and len(tensors) == 2:
        return Role.SUM if _sizes(tensors[0]) == _sizes(tensors[1]) else Role.OPAQUE
    if node.target is aten.mul.Tensor and len(tensors) == 2:
        return Role.PRODUCT if _sizes(tensors[0])[:2] == _sizes(tensors[1])[:2] else Role.OPAQUE
    return Role.FLATTEN if node.target in RESHAPES and _flattens(node) else Role.OPAQUE


def _tensors(node: Node) -> list[Node]:
    """Operands that depend on the input, once each time they stand there."""
    found = [a for a in (*node.args, *node.kwargs.values()) if isinstance(a, Node) and a.op != "get_attr"]
    return [n for n in found if isinstance(n.meta.get("val"), Tensor)]


def _keeps_zero(node: Node) -> bool:
    (x,) = _tensors(node)
    zero = torch.zeros(1, dtype=g.value(x).dtype)

    def value(n: Node) -> Any:
        return zero if n is x else g.constant(n)

    args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), value)
    return bool((node.target(*args, **kwargs) == 0).all())  # type: ignore[operator]


def _pools(node: Node) -> bool:
    """A mean or sum over the sides alone."""
    if node.target not in (aten.mean.dim, aten.sum.dim_IntList, aten.amax.default):
        return False
    read = arguments(node)
    rank = len(_sizes(node.all_input_nodes[0]))
    dims = {d % rank for d in read["dim"]}
    return bool(dims) and dims <= {2, 3} and (bool(read["keepdim"]) or dims == {2, 3})


def _pads_sides(node: Node) -> bool:
    if node.target is not aten.constant_pad_nd.default:
        return False
    pad: Any = node.args[1]
    return len(pad) <= 4 and (len(node.args) < 3 or bool(node.args[2] == 0))


def _flattens(node: Node) -> bool:
    before, after = _sizes(node.all_input_nodes[0]), _sizes(node)
    if before[0] != after[0] or len(before) < 2:
        return False
    to_vector = len(after) == 2 and after[1] == math.prod(before[1:])
    same = after[1] == before[1] and math.prod(before[2:]) == math.prod(after[2:]) == 1
    return to_vector or same


def _sizes(node: Node) -> list[int]:
    return [int(s) for s in g.shape(node)]
