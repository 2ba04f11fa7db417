"""The backward analysis: which channels of which values must exist, given what is known of them."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.channels.analysis import Analysis
from nascc.passes.channels.facts import Link, Step
from nascc.passes.channels.mixer import Mixer
from nascc.passes.channels.pointwise import is_pointwise
from nascc.passes.linear.threads import pinned

aten = torch.ops.aten
SHUFFLES = (aten.channel_shuffle.default, aten.native_channel_shuffle.default)


@dataclass(frozen=True, eq=False)
class Demand:
    """`needed` says, in each value's layout, which channels must exist; `active`, which links of a call carry any.

    A link is not active when its operand, as far as it is needed here, is constant: its numbers can stand instead.
    `shown` counts the constant channels that must exist because a padded convolution reads them.
    """

    analysis: Analysis
    needed: dict[Node, Tensor]
    active: dict[Node, list[bool]] = field(default_factory=dict)
    shown: dict[Node, int] = field(default_factory=dict)
    apart: bool = False

    def kept(self, node: Node, axis: int) -> Tensor:
        """Indices of the channels that must exist along an axis of a value's layout."""
        needed = self.needed[node]
        return _any_but(needed, axis).reshape(-1).nonzero().reshape(-1)

    def exists(self, node: Node) -> bool:
        """Must any of the value exist?"""
        return bool(self.needed[node].any())

    @property
    def removes(self) -> bool:
        """Is there a value that must exist, but not whole, or an operand that is but a constant?"""
        partly = any(bool(n.any()) and not bool(n.all()) for n in self.needed.values())
        return partly or any(not all(a) for n, a in self.active.items() if self.exists(n))


@pinned
def demand(analysis: Analysis, *, apart: bool = False) -> Demand:
    """The least sets of channels with which every output of the graph can be computed as before.

    A channel must exist when an output of the graph, an unknown operator or a weight that is not zero reads it and it
    is not constant; when it is constant, but the border of a padded convolution would show (one of a value is enough:
    it can stand for the others); and when it shares a tensor with one that must (the two sides of a sum). Not the
    last `apart`: what would be needed if every reader had a tensor of its own.
    """
    needed = {n: torch.zeros(s.facts.layout, dtype=torch.bool) for n, s in analysis.steps.items()}
    found = Demand(analysis, needed, apart=apart)
    visited: set[Node] = set()
    for node in analysis.nodes:
        if node.op == "placeholder":
            found.needed[node].fill_(True)
        elif node.op == "output":
            for value in node.all_input_nodes:
                found.needed[value].fill_(True)
    while sum(_visit(node, found, visited) for node in reversed(analysis.nodes)):
        pass
    return found


def _visit(node: Node, found: Demand, visited: set[Node]) -> bool:
    """Pass on what must exist of a value to its operands, and back; did anything grow?"""
    if node.op != "call_function" or not found.exists(node):
        return False
    values = [n for n in (node, *node.all_input_nodes) if n.op != "get_attr"]
    if node in visited and all(bool(found.needed[n].all()) for n in values):
        return False
    visited.add(node)
    before = [int(found.needed[n].sum()) for n in values]
    _pass_on(node, found.analysis.steps[node], found)
    for n in values:
        _close(found.needed[n])
    if node.target in SHUFFLES and found.needed[node].shape[1] > 1:
        by_place = found.needed[node].view(len(found.needed[node]), -1, arguments(node)["groups"])
        by_place |= by_place.any(-1, keepdim=True)
    return before != [int(found.needed[n].sum()) for n in values]


def _pass_on(node: Node, step: Step, found: Demand) -> None:
    if step.mixer is not None:
        _through_mixer(node, step.mixer, found)
    elif step.links is not None:
        _through_links(node, step.links, found)
    elif node.target is aten.sym_size.int and found.needed[node.args[0]].shape[node.args[1]] == 1:  # type: ignore[index]
        _at_least_one(found.needed[node.args[0]])  # type: ignore[index]
    else:
        for value in (node, *node.all_input_nodes):
            found.needed[value].fill_(True)


def _through_links(node: Node, links: tuple[Link, ...], found: Demand) -> None:
    needed = found.needed[node]
    active = found.active.setdefault(node, [False] * len(links))
    stands = len(links) > 1 and is_pointwise(node.target)
    for k, link in enumerate(links):
        here = needed & (link.index >= 0)
        if stands:
            here = here & ~link.gather(found.analysis.facts(link.operand).constant)
        active[k] = active[k] or bool(here.any()) or not (stands or node.target is aten.cat.default)
    if stands and not any(a and _has_shape_of(node, link.operand) for a, link in zip(active, links, strict=True)):
        active[:] = [True] * len(links)
    for link, carries in zip(links, active, strict=True):
        if carries:
            _through(needed, link, found.needed[link.operand], coupled=link.coupled and not found.apart)
            _at_least_one(found.needed[link.operand])


def _through(needed: Tensor, link: Link, operand: Tensor, *, coupled: bool) -> None:
    here = link.index >= 0
    if link.pinned:
        needed |= here
    if coupled:
        needed |= link.gather(operand) & here
    operand.view(-1)[link.index[needed & here]] = True


def _through_mixer(node: Node, mixer: Mixer, found: Demand) -> None:
    x = mixer.layer.input
    outputs = found.needed[node].view(mixer.groups, -1)
    facts, needed = found.analysis.facts(x), found.needed[x]
    if facts.layout[mixer.axis] != mixer.groups * mixer.inputs:
        needed.fill_(True)
        if mixer.groups > 1:
            outputs.fill_(True)
        return
    inputs = needed.view(mixer.groups, -1)
    constant, value = mixer.over_inputs(facts.constant), mixer.over_inputs(facts.value)
    used = (mixer.support & outputs.unsqueeze(-1)).any(1)
    inputs |= used & ~constant
    if mixer.sees_border:
        added = _represent(inputs, used, constant & (value != 0), value)
        found.shown[node] = found.shown.get(node, 0) + added
    if found.apart:
        return
    alive = outputs.any(1) | inputs.any(1)
    for side in (outputs, inputs):
        _at_least_one_each(side, alive)
        _equal_counts(side, alive)


def _represent(inputs: Tensor, used: Tensor, shifted: Tensor, value: Tensor) -> int:
    """One constant input of each group that reads any must exist: its border is that of the others. Counts the new."""
    missing = (used & shifted).any(1) & ~(inputs & shifted).any(1)
    largest = torch.where(used & shifted, value.abs(), -1.0).argmax(1)
    inputs[missing.nonzero().reshape(-1), largest[missing]] = True
    return int(missing.sum())


def _has_shape_of(node: Node, operand: Node) -> bool:
    shapes = g.shape(node), g.shape(operand)
    return len(shapes[0]) == len(shapes[1]) and all(map(g.same, *shapes))


def _at_least_one(needed: Tensor) -> None:
    if needed.numel() and not bool(needed.any()):
        needed.view(-1)[0] = True


def _at_least_one_each(side: Tensor, alive: Tensor) -> None:
    side[:, 0] |= alive & ~side.any(1)


def _equal_counts(side: Tensor, alive: Tensor) -> None:
    """Groups must stay equally large: those that need fewer keep some more."""
    counts = side.sum(1)
    for group in (alive & (counts < counts.max())).nonzero().reshape(-1).tolist():
        spare = (~side[group]).nonzero().reshape(-1)
        side[group, spare[: int(counts.max() - counts[group])]] = True


def _close(needed: Tensor) -> None:
    """Channels told apart along several axes go by whole slices only: the least such set around the needed ones."""
    if needed.numel() == max(needed.shape, default=1):
        return
    whole = needed.new_ones(needed.shape)
    for axis in range(needed.ndim):
        whole &= _any_but(needed, axis)
    needed |= whole if bool(needed.any()) else needed


def _any_but(needed: Tensor, axis: int) -> Tensor:
    """Is any needed, for each place along an axis? Same rank, 1 along the others."""
    for dim in range(needed.ndim):
        if dim != axis:
            needed = needed.any(dim=dim, keepdim=True)
    return needed
