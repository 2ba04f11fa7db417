"""Where the data of a network goes: the calls on its way in order, and the values that all of it passes through."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.errors import PassError


@dataclass(frozen=True)
class Span:
    """The calls of a flow from position `first` to `last`, both included; `name` says what a user calls them."""

    first: int
    last: int
    name: str = ""

    @property
    def size(self) -> int:
        """The number of calls; not above 0 where it ends before it begins."""
        return self.last - self.first + 1

    def holds(self, other: "Span") -> bool:
        """Does the other lie inside, or is it the same calls?"""
        return self.first <= other.first and other.last <= self.last


@dataclass(frozen=True, eq=False)
class Flow:
    """The calls between the one input of a graph and its one output, in order; what depends on constants alone is none.

    Position -1 stands for the input itself.
    """

    gm: fx.GraphModule
    entry: Node
    nodes: tuple[Node, ...]

    @classmethod
    def of(cls, gm: fx.GraphModule) -> "Flow":
        """Raises PassError unless the graph has one input that reaches its one output."""
        entries = gm.graph.find_nodes(op="placeholder")
        (output,) = gm.graph.find_nodes(op="output")
        if len(entries) != 1 or len(output.args[0]) != 1:
            raise PassError(
                f"a network must have one input and one output to be divided into blocks, found {len(entries)} "
                f"and {len(output.args[0])}"
            )
        live = _ancestors(output.args[0][0])
        reached = {entries[0]}
        nodes = []
        for node in gm.graph.nodes:
            if node.op == "call_function" and node in live and not reached.isdisjoint(node.all_input_nodes):
                reached.add(node)
                nodes.append(node)
        if output.args[0][0] not in reached:
            raise PassError("the output of a network must depend on its input to be divided into blocks")
        return cls(gm, entries[0], tuple(nodes))

    @cached_property
    def position(self) -> dict[Node, int]:
        """The position of each call; -1 of the input."""
        return {self.entry: -1} | {node: k for k, node in enumerate(self.nodes)}

    @cached_property
    def cuts(self) -> frozenset[int]:
        """Positions of the tensors that everything behind them is computed from; -1 is always one of them."""
        found, latest = {-1}, self._last_use(self.entry)
        for k, node in enumerate(self.nodes):
            if latest <= k and isinstance(g.value(node), Tensor):
                found.add(k)
            latest = max(latest, self._last_use(node))
        return frozenset(found)

    def node(self, position: int) -> Node:
        """The call at a position, or the input."""
        return self.entry if position < 0 else self.nodes[position]

    def begin(self, span: Span) -> Node:
        """The value that a span reads, where it reads one only."""
        return self.node(span.first - 1)

    def end(self, span: Span) -> Node:
        """The last value of a span."""
        return self.nodes[span.last]

    def calls(self, span: Span) -> tuple[Node, ...]:
        """The calls of a span."""
        return self.nodes[span.first : span.last + 1]

    def is_closed(self, span: Span) -> bool:
        """Has the span one tensor in, everything before it, and one tensor out, everything behind it?"""
        return span.first - 1 in self.cuts and span.last in self.cuts

    def inputs(self, span: Span) -> tuple[Node, ...]:
        """The values from outside that a span reads, constants left out."""
        outside = (n for node in self.calls(span) for n in node.all_input_nodes if n in self.position)
        return tuple(dict.fromkeys(n for n in outside if not span.first <= self.position[n] <= span.last))

    def outputs(self, span: Span) -> tuple[Node, ...]:
        """The values of a span that are read outside of it."""
        return tuple(node for node in self.calls(span) if self._last_use(node) > span.last)

    def atoms(self, span: Span) -> Iterator[Span]:
        """The shortest closed parts of a closed span, in order: calls of a chain, branches with what joins them."""
        first = span.first
        for position in range(span.first, span.last + 1):
            if position in self.cuts:
                yield Span(first, position)
                first = position + 1

    def _last_use(self, node: Node) -> int:
        """The position of the last call that reads a value; beyond the end for the output of the network."""
        uses = [len(self.nodes) if user.op == "output" else self.position.get(user, -1) for user in node.users]
        return max(uses, default=-1)


def _ancestors(node: Node) -> set[Node]:
    found, stack = {node}, [node]
    while stack:
        for before in stack.pop().all_input_nodes:
            if before not in found:
                found.add(before)
                stack.append(before)
    return found
