"""The kernels of a graph in nascc's IR: the front end that fills the neutral operator list from torch.fx."""

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.runtime.kernels import Kernel, fuse
from nascc.runtime.operators import Network, Operator, convolution, keeps_order, product

aten = torch.ops.aten

KINDS: dict[str, str] = {
    packet: kind
    for kind, packets in {
        "view": "reshape flatten unflatten squeeze unsqueeze _to_copy expand getitem",
        "pad": "constant_pad_nd",
        "transpose": "permute",
        "elementwise": "hardswish prelu glu log_sigmoid batch_norm masked_fill where floor_divide clamp fill",
        "pool": "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool2d avg_pool1d avg_pool2d "
        "avg_pool3d max_pool1d max_pool2d max_pool3d mean sum amax amin prod var std max min argmax argmin any all "
        "logsumexp linalg_vector_norm",
        "norm": "layer_norm group_norm instance_norm softmax log_softmax",
        "concat": "cat stack",
        "slice": "slice select",
        "resize": "upsample_nearest1d upsample_nearest2d upsample_nearest3d upsample_linear1d upsample_bilinear2d "
        "upsample_trilinear3d upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa "
        "_upsample_nearest_exact2d grid_sampler grid_sampler_2d",
    }.items()
    for packet in packets.split()
}
"""The kind of an ATen operator; what is not here is elementwise where torch says so, and moves numbers otherwise."""
GATED = ("gelu", "hardswish", "mish", "silu")
"""Activations that multiply their input by a function of it."""


def graph_kernels(gm: fx.GraphModule) -> tuple[Kernel, ...]:
    """The kernels that run a graph; sizes that are open count with the value the graph was captured with."""
    return fuse(graph_network(gm))


def graph_network(gm: fx.GraphModule) -> Network:
    """The neutral operator list of a graph. What depends on constants alone is a constant."""
    inputs = {n.name: _count(n) for n in gm.graph.find_nodes(op="placeholder")}
    varying = set(inputs)
    operators: list[Operator] = []
    for node in gm.graph.nodes:
        if node.op == "call_function" and _is_data(node) and any(n.name in varying for n in node.all_input_nodes):
            varying.add(node.name)
            operators += _operators(node, varying)
    (output,) = gm.graph.find_nodes(op="output")
    return Network(inputs, tuple(operators), tuple(n.name for n in output.args[0] if n.name in varying))


def _is_data(node: Node) -> bool:
    """Is the value a tensor, or several, and not a size?"""
    value = node.meta["val"]
    return isinstance(value, Tensor) or (isinstance(value, (tuple, list)) and any(isinstance(v, Tensor) for v in value))


def _operators(node: Node, varying: set[str]) -> list[Operator]:
    special = SPECIAL.get(node.target)
    inputs = tuple(n.name for n in node.all_input_nodes if n.name in varying)
    if special is not None:
        return special(node, inputs)
    name = g.label(node)
    if node.target is operator.getitem and _is_split(node.args[0]):
        return [Operator(name, "slice", inputs, node.name, _count(node))]
    gated = _packet(node) in GATED
    return [Operator(name, _kind(node), inputs, node.name, _count(node), _constants(node, varying), gated=gated)]


def _kind(node: Node) -> str:
    target: Any = node.target
    if target is operator.getitem:
        return "view"
    packet = _packet(node)
    if packet == "permute" and keeps_order(_sizes(node.args[0]), node.args[1]):  # type: ignore[arg-type]
        return "view"
    if packet == "split_with_sizes":
        return "view"
    if packet in ("max", "min") and target.__name__.endswith("other"):
        return "elementwise"
    if packet == "constant_pad_nd" and (len(node.args) > 2 and node.args[2] != 0):
        return "move"
    return KINDS.get(packet, "elementwise" if torch.Tag.pointwise in target.tags else "move")


def _packet(node: Node) -> str:
    """The name of an operator without its overload."""
    return str(getattr(node.target, "__name__", "")).partition(".")[0]


def _is_split(node: Any) -> bool:
    return g.is_call(node, aten.split_with_sizes.default)


def _convolution(node: Node, inputs: tuple[str, ...]) -> list[Operator]:
    x, weight, bias, *_, transposed, _output_padding, groups = node.args
    numbers = _count(bias) if isinstance(bias, Node) else 0
    found = convolution(
        g.label(node), inputs, node.name, _sizes(x), _sizes(node), _sizes(weight), _int(groups),
        transposed=bool(transposed), bias=numbers,
    )  # fmt: skip
    return [found]


def _linear(node: Node, inputs: tuple[str, ...]) -> list[Operator]:
    weights = sum(_count(n) for n in node.args[1:] if isinstance(n, Node))
    return [product(g.label(node), inputs, node.name, _sizes(node), _sizes(node.args[0])[-1], weights)]


def _matmul(node: Node, inputs: tuple[str, ...]) -> list[Operator]:
    weights = sum(_count(a) for a in node.args[:2] if isinstance(a, Node) and a.name not in inputs)
    return [product(g.label(node), inputs, node.name, _sizes(node), _sizes(node.args[0])[-1], weights)]


def _attention(node: Node, inputs: tuple[str, ...]) -> list[Operator]:
    """softmax(q k^T) v as the three kernels it is written as; a mask is added to the scores."""
    query, key, value = (_sizes(a) for a in node.args[:3])
    scores = [*query[:-1], key[-2]]
    label, (q, k, v) = g.label(node), (a.name for a in node.args[:3] if isinstance(a, Node))
    found = [product(label, (q, k), f"{node.name}/scores", scores, query[-1])]
    for mask in (n for n in node.all_input_nodes if n.name not in (q, k, v)):
        read = (f"{node.name}/scores", *([mask.name] if mask.name in inputs else []))
        numbers = 0 if mask.name in inputs else _count(mask)
        found.append(Operator(label, "elementwise", read, f"{node.name}/masked", math.prod(scores), numbers))
    found.append(Operator(label, "norm", (found[-1].output,), f"{node.name}/weights", math.prod(scores)))
    found.append(product(label, (f"{node.name}/weights", v), node.name, _sizes(node), value[-2]))
    return found


def _group_norm(node: Node, inputs: tuple[str, ...]) -> list[Operator]:
    """A normalisation, and the scale and shift of each channel as what follows it."""
    numbers = sum(_count(n) for n in node.all_input_nodes if n.name not in inputs)
    label, elements = g.label(node), _count(node)
    if not numbers or node.args[1] == g.shape(node)[1]:
        return [Operator(label, "norm", inputs, node.name, elements, numbers)]
    inner = f"{node.name}/normalised"
    return [
        Operator(label, "norm", inputs, inner, elements),
        Operator(label, "elementwise", (inner,), node.name, elements, numbers),
    ]


def _roll(node: Node, inputs: tuple[str, ...]) -> list[Operator]:
    """Along each axis that moves two slices, joined the other way round."""
    shifts: Any = node.args[1]
    axes: Any = node.args[2] if len(node.args) > 2 else ()
    sizes, label, found = (_sizes(node) if axes else [_count(node)]), g.label(node), list[Operator]()
    whole, value = _count(node), inputs[0]
    for axis, shift in zip(axes or (0,), shifts, strict=True):
        if tail := whole // sizes[axis] * (_int(shift) % sizes[axis]):
            front, back, joined = (f"{node.name}/{part}/{axis}" for part in ("front", "back", "joined"))
            found.append(Operator(label, "slice", (value,), front, whole - tail))
            found.append(Operator(label, "slice", (value,), back, tail))
            found.append(Operator(label, "concat", (back, front), joined, whole))
            value = joined
    return [*found, Operator(label, "view", (value,), node.name, whole)]


SPECIAL: dict[Any, Callable[[Node, tuple[str, ...]], list[Operator]]] = {
    aten.convolution.default: _convolution,
    aten.linear.default: _linear,
    aten.matmul.default: _matmul,
    aten.group_norm.default: _group_norm,
    aten.roll.default: _roll,
    aten.scaled_dot_product_attention.default: _attention,
}


def _constants(node: Node, varying: set[str]) -> int:
    """Constant numbers that a call reads; sizes are none."""
    return sum(_count(n) for n in node.all_input_nodes if n.name not in varying and isinstance(n.meta["val"], Tensor))


def _count(node: Any) -> int:
    value = node.meta["val"]
    if isinstance(value, (tuple, list)):
        return sum(math.prod(map(_int, v.shape)) for v in value if isinstance(v, Tensor))
    return math.prod(map(_int, value.shape))


def _sizes(node: Any) -> list[int]:
    return [_int(s) for s in g.shape(node)]


def _int(size: Any) -> int:
    return size if isinstance(size, int) else int(size.node.hint or 1)
