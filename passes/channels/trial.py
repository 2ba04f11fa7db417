"""One trial of pruning bypasses on a graph, with what it brought: layers that shrank and calls that vanished."""

import operator
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import is_number
from nascc.passes.base import Decision, Rewrite
from nascc.passes.channels.analysis import analyse
from nascc.passes.channels.bypass import bypass, read_from_outside
from nascc.passes.channels.demand import Demand, demand
from nascc.passes.channels.pieces import MOVES, composed
from nascc.passes.channels.pointwise import NEUTRAL
from nascc.passes.channels.reuse import reuse
from nascc.passes.channels.selection import SIDES
from nascc.passes.channels.shrink import described, shrink, smaller_layers
from nascc.passes.driver import tidy
from nascc.passes.edit import Edit
from nascc.passes.eliminate_identities import EliminateIdentities
from nascc.passes.views import Conv, Linear

aten = torch.ops.aten
JOINING = (aten.slice.Tensor, aten.cat.default, aten.constant_pad_nd.default)
COPYING = (*SIDES, *MOVES, aten.slice_scatter.default)
Cost = tuple[int, int]
"""(weights of layers, calls)."""


def may_copy(gm: fx.GraphModule) -> bool:
    """Could a call copy some channels and not others? Cheap to tell, for graphs where none does."""
    known: set[Node] = set()
    for node in gm.graph.nodes:
        if node.op != "placeholder" and all(n in known for n in node.all_input_nodes):
            known.add(node)
        elif node.op == "call_function" and (node.target in COPYING or _has_numbers(node, known)):
            return True
    return False


def _has_numbers(node: Node, known: Collection[Node]) -> bool:
    """Does a sum, product and the like have a side that does not depend on the input?"""
    return node.target in NEUTRAL and any(is_number(a) or a in known for a in node.args)


class Trial:
    """What pruning does to a graph, in place, when some composed values are `kept`."""

    def __init__(self, gm: fx.GraphModule, kept: Collection[Node] = ()) -> None:
        self.gm = gm
        self.analysis = analyse(gm)
        self.values = composed(self.analysis, kept)
        self.read = list(read_from_outside(self.analysis, self.values))
        self.changes: tuple[Decision, ...] = ()

    def run(self) -> tuple[Rewrite, ...]:
        """Put composed values together anew, and take away all that nothing reads then."""
        stands = bypass(self.analysis, self.values)
        rewrites = [Rewrite(node.name, g.sources(node)) for node in stands]
        self.found = demand(analyse(self.gm))
        self.calls = {node: self._calls(new) for node, new in stands.items()}
        layers = smaller_layers(self.found)
        self.changes = (*map(self._composition, self.read), *described(layers))
        rewrites += shrink(self.gm, self.found, layers)
        tidy(self.gm)
        simplify(self.gm)
        tidy(self.gm)
        reuse(self.gm)
        tidy(self.gm)
        return tuple(rewrites)

    def without_gain(self, before: Demand) -> list[Node]:
        """Values put together with no fewer calls than before, though all that they read is needed as it was."""
        return [n for n in self.read if not self._saves(n) and not self._shrinks(n, before)]

    def _composition(self, node: Node) -> Decision:
        """What a value is put together of, in words."""
        return Decision(g.module_path(node), f"channels are {self.values[node].text()}")

    def _calls(self, new: Node) -> int:
        """How many calls will be left of those that put a value together."""
        if new in self.analysis.steps or new not in self.found.needed:
            return 0
        return self._moves(new) + sum(map(self._calls, new.all_input_nodes))

    def _moves(self, new: Node) -> bool:
        """Does a call change anything, with the channels that are needed?"""
        needed = self.found.needed
        operands = [int(needed[n].sum()) for n in new.all_input_nodes if n in needed and not g.is_constant(n)]
        return self.found.exists(new) and int(needed[new].sum()) not in operands

    def _saves(self, node: Node) -> bool:
        return self.calls[node] < sum(n._erased and n.target is not operator.getitem for n in self.values[node].cone)

    def _shrinks(self, node: Node, before: Demand) -> bool:
        needed = self.found.needed
        sources = self.values[node].sources
        return any(n not in needed or not torch.equal(needed[n], before.needed[n]) for n in sources)


def cost(gm: fx.GraphModule) -> Cost:
    """(weights of layers, calls that make tensors): what pruning is to lower."""
    layers = [layer for n in gm.graph.nodes if (layer := Conv.of(n) or Linear.of(n)) is not None]
    weights = {layer.weight_name: layer.weight.numel() for layer in layers}
    calls = [n for n in gm.graph.nodes if n.op == "call_function" and n.users and n.target is not operator.getitem]
    return sum(weights.values()), sum(isinstance(g.value(n), Tensor) for n in calls)


def simplify(gm: fx.GraphModule) -> None:
    """Moves that move nothing go, and equal ones are done once."""
    for node in list(gm.graph.nodes):
        if not node._erased and node.target in JOINING and (build := EliminateIdentities().match(node)) is not None:
            edit = Edit(node)
            edit.replace(node, build(edit))
    seen: dict[Any, Node] = {}
    for node in gm.graph.nodes:
        if node.target in JOINING:
            first = seen.setdefault((node.target, str(node.args), g.dtype(node)), node)
            if first is not node:
                node.replace_all_uses_with(first)
