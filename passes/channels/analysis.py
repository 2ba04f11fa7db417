"""The forward analysis: walks a graph once and notes, for every value, what is known of its channels."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.channels.facts import Facts, Link, Step, layout_of, live, positions, settled
from nascc.passes.channels.moves import MOVES, joined_along
from nascc.passes.channels.pointwise import of_constant, pointwise
from nascc.passes.channels.weighted import WEIGHTED
from nascc.passes.channels.windows import WINDOWS
from nascc.passes.linear.threads import pinned

Known = Callable[[Node], Facts]
Rule = Callable[[Node, Known], Step | None]

RULES: dict[Any, Rule] = {**MOVES, **WINDOWS, **WEIGHTED}


@dataclass(frozen=True, eq=False)
class Origin:
    """Where each channel comes from unchanged: the number of a node in the graph, and the channel in its layout."""

    node: Tensor
    channel: Tensor


@dataclass(frozen=True, eq=False)
class Analysis:
    """Facts, links and origins of every value of a graph. A channel that is no copy is its own origin."""

    nodes: tuple[Node, ...]
    steps: dict[Node, Step]
    origins: dict[Node, Origin]

    def facts(self, node: Node) -> Facts:
        """What is known of a value."""
        return self.steps[node].facts


@pinned
def analyse(gm: fx.GraphModule) -> Analysis:
    """What is known of each channel of each value: zero, constant, a copy of another channel, or live.

    Holds for every finite input. Channels are told apart along axis 1 of images and the last axis of vectors, and
    wherever operators carry these; what an unknown operator makes is live as a whole.
    """
    nodes = tuple(gm.graph.nodes)
    steps: dict[Node, Step] = {}
    origins: dict[Node, Origin] = {}
    for number, node in enumerate(nodes):
        steps[node] = _step(node, lambda n: steps[n].facts)
        origins[node] = traced(steps[node], number, origins, steps[node].copies)
    return Analysis(nodes, steps, origins)


def _step(node: Node, known: Known) -> Step:
    if node.op == "call_function":
        rule = RULES.get(node.target, pointwise)
        if (step := rule(node, known)) is not None:
            return step
    value = node.meta.get("val")
    if not isinstance(value, Tensor):
        return Step(live(()))
    if node.op == "get_attr" and value.ndim > 1 and any(g.is_call(u, torch.ops.aten.cat.default) for u in node.users):
        layout = layout_of(node, joined_along(node))
        return Step(settled(*of_constant(g.constant(node), layout)))
    tells_apart = node.op == "placeholder" and value.ndim > 1
    return Step(live(layout_of(node, 1 if tells_apart else None), value.dtype))


def traced(step: Step, number: int, origins: dict[Node, Origin], copies: Iterable[Link]) -> Origin:
    """Where the channels that a step makes come from: those in `copies` from before, others from itself."""
    channel = positions(step.facts.layout)
    source = torch.full_like(channel, number)
    for link in copies:
        here, before = link.index >= 0, origins[link.operand]
        source = torch.where(here, link.gather(before.node), source)
        channel = torch.where(here, link.gather(before.channel), channel)
    return Origin(source, channel)
