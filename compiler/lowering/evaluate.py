"""Calls that work on constants alone: their results are computed while the graph is written."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, fx
from torch._ops import OpOverload
from torch.fx import Node

from nascc.compiler.lowering.values import Spec

aten = torch.ops.aten
LARGEST = 1 << 20
"""A result may have this many elements, or four times as many as went into it."""

SHAPE_ONLY = frozenset(
    (
        aten.zeros_like.default,
        aten.ones_like.default,
        aten.full_like.default,
        aten.empty_like.default,
        aten.zero.default,
        aten.new_zeros.default,
        aten.new_ones.default,
        aten.new_full.default,
        aten.new_empty.default,
        aten.fill.Scalar,
        aten.fill.Tensor,
    )
)
"""Calls that read nothing but the shape and type of their first argument."""

UNDEFINED = frozenset((aten.empty.memory_format, aten.new_empty.default, aten.empty_like.default))
"""Calls whose values are not defined; zeros are as good as any, and the same on every run."""


def evaluate(
    node: Node, specs: Sequence[Spec], known: Callable[[Node], Tensor | None]
) -> tuple[tuple[Tensor, ...], list[Node]] | None:
    """The results of a call and the nodes it reads, if `known` gives a tensor for each of them; None otherwise."""
    if not isinstance(node.target, OpOverload) or torch.Tag.nondeterministic_seeded in node.target.tags:
        return None
    arguments = (_stand_in(node), *node.args[1:]) if node.target in SHAPE_ONLY else node.args
    if arguments[:1] == (None,) or not all(isinstance(d, int) for spec in specs for d in spec.shape):
        return None
    sources: list[Node] = []
    fx.map_arg((arguments, node.kwargs), sources.append)
    tensors = [t for source in sources if (t := known(source)) is not None]
    size = sum(math.prod(int(d) for d in spec.shape) for spec in specs)
    if len(tensors) < len(sources) or size > max(LARGEST, 4 * sum(t.numel() for t in tensors)):
        return None
    result = node.target(*fx.map_arg(arguments, known), **fx.map_arg(node.kwargs, known))
    if node.target in UNDEFINED:
        result = torch.zeros_like(result)
    return ((result,) if isinstance(result, Tensor) else tuple(result)), sources


def _stand_in(node: Node) -> Tensor | None:
    """A tensor of the shape and type of the first argument; None if that shape matters and is dynamic."""
    value = node.args[0].meta["val"]  # type: ignore[union-attr]
    if ".new_" in str(node.target):
        return torch.zeros((), dtype=value.dtype)
    if not all(isinstance(d, int) for d in value.shape):
        return None
    return torch.zeros((), dtype=value.dtype).expand(value.shape)
