"""Compute once what is computed twice."""

from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import fx
from torch._ops import OpOverload
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import GraphPass, Numerics, Rewrite
from nascc.passes.edit import absorb

Pairs = tuple[tuple[Node, Node], ...]


@dataclass(frozen=True)
class MergeDuplicates(GraphPass[Pairs]):
    """y1 = f(x, c), y2 = f(x, c) -> y2 = y1; constants count as equal when their dtypes and bits are.

    Constants themselves stay apart (two layers may start equal and be trained), and random calls are never merged.
    """

    numerics = Numerics.BITWISE

    def plan(self, gm: fx.GraphModule) -> Pairs | None:
        first: dict[Hashable, Node] = {}
        stands_for: dict[Node, Node] = {}
        for node in gm.graph.nodes:
            key = _key(node, stands_for)
            if key is not None and (original := first.setdefault(key, node)) is not node:
                stands_for[node] = original
        return tuple((twin, original) for twin, original in stands_for.items() if twin.op == "call_function") or None

    def apply(self, gm: fx.GraphModule, plan: Pairs) -> tuple[Rewrite, ...]:
        for twin, original in plan:
            twin.replace_all_uses_with(original)
            absorb(original, g.sources(twin))
        return tuple(Rewrite(original.name, g.sources(original)) for _, original in plan)


def _key(node: Node, stands_for: dict[Node, Node]) -> Hashable | None:
    if node.op == "get_attr":
        value = g.constant(node)
        return (g.dtype(node), value.dtype, tuple(value.shape), _digest(value))
    if node.op != "call_function" or _is_random(node):
        return None
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), lambda n: stands_for.get(n, n))
    return (node.target, str(g.dtype(node)), _frozen(args), _frozen(kwargs))


def _digest(value: torch.Tensor) -> Hashable:
    """Identity for large constants, content for small ones: equal large ones are merged when the file is written."""
    if value.numel() > 4096:
        return (value.data_ptr(), value.stride())
    return value.numpy(force=True).tobytes() if value.dtype is not torch.bfloat16 else value.data_ptr()


def _is_random(node: Node) -> bool:
    return isinstance(node.target, OpOverload) and torch.Tag.nondeterministic_seeded in node.target.tags


def _frozen(value: object) -> Hashable:
    """Arguments as something hashable that tells types apart (1, 1.0 and True are three)."""
    if isinstance(value, dict):
        return tuple((k, _frozen(v)) for k, v in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return (type(value).__name__, *map(_frozen, value))
    if isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
        return str(value)
    return (type(value).__name__, value if not isinstance(value, float) else repr(value))
