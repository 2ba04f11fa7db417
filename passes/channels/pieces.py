"""Values that are put together from channels of others and compute nothing: the pieces they are made of."""

import operator
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.channels.analysis import Analysis, Origin, traced
from nascc.passes.channels.demand import demand
from nascc.passes.channels.facts import Facts, positions
from nascc.passes.linear.threads import pinned

aten = torch.ops.aten
SPLIT = aten.split_with_sizes.default
MOVES = (aten.slice.Tensor, aten.cat.default, aten.constant_pad_nd.default, aten.index_select.default, SPLIT,
         operator.getitem, aten.channel_shuffle.default, aten.native_channel_shuffle.default)  # fmt: skip
"""Calls that move channels; what else makes up a value computes each of its elements."""

MANY = 8
"""More pieces than that are gathered by index."""


@dataclass(frozen=True)
class Piece:
    """Channels [start, start + count) of a source, or `whole`: all that are told apart; zeros where there is none."""

    source: Node | None
    start: int
    count: int
    whole: bool = False

    def text(self) -> str:
        """Which channels of what, for a report."""
        if self.source is None:
            return f"{self.count} zeros"
        return g.label(self.source) if self.whole else f"{g.label(self.source)}[{self.start}:{self.start + self.count}]"


@dataclass(frozen=True)
class Composed:
    """A value that is its pieces in order, along `axis`.

    `cone` are the calls that make it now, and `sources` what these read, also where nothing of that is left.
    """

    pieces: tuple[Piece, ...]
    axis: int
    cone: frozenset[Node]
    sources: frozenset[Node]

    @property
    def computes(self) -> bool:
        """Is anything computed to get it?"""
        return any(n.target not in MOVES for n in self.cone)

    def text(self) -> str:
        """The pieces, for a report."""
        return ", ".join(p.text() for p in self.pieces[:MANY]) + (", ..." if len(self.pieces) > MANY else "")

    @property
    def calls(self) -> int:
        """How many calls put the pieces together."""
        real = [p for p in self.pieces if p.source is not None]
        if len(self.pieces) > MANY:
            return len({p.source for p in real}) + 3
        return sum(not p.whole for p in real) + (len(real) > 1) + (len(real) < len(self.pieces))


@pinned
def composed(analysis: Analysis, kept: Collection[Node] = ()) -> dict[Node, Composed]:
    """Every value all of whose channels are zero or unchanged channels of other values, with its pieces.

    A value that is `kept`, or that moves alone put together, no differently from now, of values all of whose channels
    are needed, counts as what is computed.
    """
    return _Composing(analysis, kept).run()


class _Composing:
    """One walk, front to back; `origins` hold -1 as the number of the node where a channel is zero."""

    def __init__(self, analysis: Analysis, kept: Collection[Node]) -> None:
        self.analysis, self.kept = analysis, kept
        self.number = {node: k for k, node in enumerate(analysis.nodes)}
        self.origins: dict[Node, Origin] = {}
        self.cones: dict[Node, frozenset[Node]] = {}
        self.ideal = demand(analysis, apart=True)
        self.copying = {n for n in analysis.nodes if self._only_copies(n)}

    def run(self) -> dict[Node, Composed]:
        found: dict[Node, Composed] = {}
        for node in self.analysis.nodes:
            step = self.analysis.steps[node]
            itself = traced(step, self.number[node], {}, ())
            self.origins[node] = itself
            if node not in self.copying or node in self.kept:
                continue
            origin = traced(step, self.number[node], self.origins, step.copies)
            origin = Origin(torch.where(step.facts.zero, -1, origin.node), origin.channel)
            cone = self._cone(node)
            if node.target is not SPLIT:
                value = self._composed(node, origin, cone)
                if value is None or self._stands(node, value):
                    continue
                found[node] = value
            self.origins[node], self.cones[node] = origin, cone
        return found

    def _cone(self, node: Node) -> frozenset[Node]:
        """The calls that make a value of others, those included that make zeros."""
        cone = {node}
        for n in node.all_input_nodes:
            if n.op == "call_function" and bool(self.analysis.facts(n).zero.all()):
                self.cones.setdefault(n, self._cone(n))
            cone |= self.cones.get(n, frozenset())
        return frozenset(cone)

    def _only_copies(self, node: Node) -> bool:
        step = self.analysis.steps[node]
        if node.op != "call_function" or not step.copies or sum(s > 1 for s in step.facts.layout) > 1:
            return False
        copied = torch.zeros(step.facts.layout, dtype=torch.bool)
        for link in step.copies:
            copied = copied | (link.index >= 0)
        zero = step.facts.zero
        return bool((copied | zero).all()) and bool((copied & ~zero).any())

    def _composed(self, node: Node, origin: Origin, cone: frozenset[Node]) -> Composed | None:
        pieces = tuple(self._piece(*run) for run in _runs(origin))
        axes = {a for n in (node, *(p.source for p in pieces)) if n and (a := self._axis(n)) is not None}
        axis = next(iter(axes), 1)
        if len(axes) > 1 or not all(_fits(p.source, node, axis) for p in pieces if p.source is not None):
            return None
        sources = (n for call in cone for n in call.all_input_nodes if n not in cone and not g.is_constant(n))
        return Composed(pieces, axis, cone, frozenset(sources))

    def _piece(self, number: int, start: int, count: int) -> Piece:
        if number < 0:
            return Piece(None, 0, count)
        source = self.analysis.nodes[number]
        return Piece(source, start, count, count == self.analysis.facts(source).constant.numel())

    def _axis(self, node: Node) -> int | None:
        layout = self.analysis.facts(node).layout
        return next((k for k, size in enumerate(layout) if size > 1), None)

    def _stands(self, node: Node, value: Composed) -> bool:
        """Does something other than moves read it, and is it made as simply as can be?"""
        if value.computes or all(user in self.copying for user in node.users):
            return False
        if any(_is_partly(self.ideal.needed[source]) for source in value.sources):
            return False
        return value.calls >= sum(n.target is not operator.getitem for n in _only_for(node, value.cone))


def _is_partly(needed: Tensor) -> bool:
    return bool(needed.any()) and not bool(needed.all())


def _only_for(node: Node, cone: frozenset[Node]) -> set[Node]:
    """The calls of a cone that nothing but its last one needs."""
    only, grown = {node}, True
    while grown:
        more = {n for n in cone - only if all(user in only for user in n.users)}
        grown = bool(more)
        only |= more
    return only


def itself(node: Node, facts: Facts) -> Composed | None:
    """A value as its own channels and the zeros among them; None where its channels are not told apart."""
    axis = next((k for k, size in enumerate(facts.layout) if size > 1), None)
    if (
        axis is None
        or sum(size > 1 for size in facts.layout) > 1
        or not g.same(g.shape(node)[axis], facts.layout[axis])
    ):
        return None
    runs = _runs(Origin(torch.where(facts.zero, -1, 0), positions(facts.layout)))
    whole = Piece(node, 0, facts.layout[axis], whole=True)
    pieces = [Piece(None if source < 0 else node, start, count) for source, start, count in runs]
    if len(pieces) == 1 or len(pieces) > MANY or facts.zero.all():
        pieces = [whole]
    return Composed(tuple(pieces), axis, frozenset(), frozenset({node}))


def _fits(source: Node, node: Node, axis: int) -> bool:
    """Has a source the type, and but for the axis the shape, of what it is a piece of?"""
    if not isinstance(g.value(source), Tensor) or g.dtype(source) != g.dtype(node):
        return False
    shapes = g.shape(source), g.shape(node)
    if g.value(source).dtype != g.value(node).dtype or len(shapes[0]) != len(shapes[1]):
        return False
    return all(k == axis or g.same(a, b) for k, (a, b) in enumerate(zip(*shapes, strict=True)))


def _runs(origin: Origin) -> list[tuple[int, int, int]]:
    """(number of the source, first channel, count) of runs of channels that follow each other in one source."""
    source, channel = origin.node.reshape(-1), origin.channel.reshape(-1)
    follows = (source[1:] == source[:-1]) & ((source[1:] < 0) | (channel[1:] == channel[:-1] + 1))
    starts = [0, *((~follows).nonzero().reshape(-1) + 1).tolist()]
    ends = [*starts[1:], len(source)]
    return [
        (int(source[a]), int(channel[a]) if source[a] >= 0 else 0, b - a) for a, b in zip(starts, ends, strict=True)
    ]
