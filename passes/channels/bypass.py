"""Puts composed values together anew from their sources, so that what only they needed need not be computed."""

import operator
from typing import Any

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.channels.analysis import Analysis
from nascc.passes.channels.facts import Step
from nascc.passes.channels.pieces import MANY, Composed, Piece, itself
from nascc.passes.edit import Edit

aten = torch.ops.aten
PICKING = (aten.slice.Tensor, aten.index_select.default, aten.split_with_sizes.default, operator.getitem)
"""Calls that take some channels of a value, whatever else of it is needed."""


def bypass(analysis: Analysis, values: dict[Node, Composed]) -> dict[Node, Node]:
    """Let every reader of a composed value read its pieces; returns what stands for each value that had a reader.

    Each reader gets slices of its own, and so does each reader of any other value that keeps its channels apart: then
    what one needs does not hold for all, and zeros need not be computed. Slices that take all are to be removed.
    """
    readers = read_from_outside(analysis, values)
    stands: dict[Node, Node] = {}
    for node, users in readers.items():
        for user in users:
            new = put_together(Edit(node), values[node])
            user.replace_input_with(node, new)
            stands.setdefault(node, new)
    for node in readers:
        g.erase_dead(node)
    for node in analysis.nodes:
        if not node._erased and node not in values:
            _separate(node, analysis)
    return stands


def read_from_outside(analysis: Analysis, values: dict[Node, Composed]) -> dict[Node, list[Node]]:
    """Composed values that are read by more than other composed values, and by what."""
    inside = set(values) | {n for n in analysis.nodes if g.is_call(n, aten.split_with_sizes.default)}
    readers = {node: [user for user in node.users if user not in inside] for node in values}
    return {node: users for node, users in readers.items() if users}


def put_together(edit: Edit, value: Composed) -> Node:
    """Slices of the sources, concatenated, with zeros in between and around."""
    if len(value.pieces) > MANY:
        return _gathered(edit, value)
    pieces = list(value.pieces)
    before = pieces.pop(0).count if pieces[0].source is None else 0
    after = pieces.pop().count if pieces[-1].source is None else 0
    parts: list[Node] = []
    for piece in pieces:
        if piece.source is None:
            parts[-1] = padded(edit, parts[-1], value.axis, 0, piece.count)
        else:
            parts.append(_sliced(edit, piece, value.axis))
    whole = parts[0] if len(parts) == 1 else edit.call(aten.cat.default, parts, value.axis)
    return padded(edit, whole, value.axis, before, after)


def padded(edit: Edit, x: Node, axis: int, before: int, after: int) -> Node:
    """The value with channels of zeros around it."""
    if not before and not after:
        return x
    sides = [0, 0] * (len(g.shape(x)) - 1 - axis) + [before, after]
    return edit.call(aten.constant_pad_nd.default, x, sides, 0)


def _sliced(edit: Edit, piece: Piece, axis: int) -> Node:
    """A slice also of what is whole, unless channels are not told apart."""
    source: Any = piece.source
    if piece.whole and not g.same(g.shape(source)[axis] if len(g.shape(source)) > axis else 0, piece.count):
        return source  # type: ignore[no-any-return]
    return edit.call(aten.slice.Tensor, source, axis, piece.start, piece.start + piece.count, 1)


def _gathered(edit: Edit, value: Composed) -> Node:
    """Many pieces: from each source what is used of it, then all in their order."""
    taken: dict[Any, list[int]] = {}
    places: list[tuple[Any, int]] = []
    for piece in value.pieces:
        channels = range(piece.start, piece.start + piece.count) if piece.source is not None else [0] * piece.count
        places += [(piece.source, c) for c in channels]
        taken.setdefault(piece.source, []).extend(channels)
    used = {source: sorted(set(channels)) for source, channels in taken.items() if source is not None}
    parts: list[Node] = []
    start: dict[Any, int] = {}
    for source, channels in used.items():
        start[source] = sum(len(used[s]) for s in start)
        which = edit.constant(torch.tensor(channels), f"{g.label(source)}.channels")
        parts.append(edit.call(aten.index_select.default, source, value.axis, which))
    whole = parts[0] if len(parts) == 1 else edit.call(aten.cat.default, parts, value.axis)
    whole = padded(edit, whole, value.axis, 0, int(None in taken))
    last = sum(map(len, used.values()))
    order = [last if source is None else start[source] + used[source].index(c) for source, c in places]
    at = edit.constant(torch.tensor(order), f"{g.label(edit.at)}.order")
    return edit.call(aten.index_select.default, whole, value.axis, at)


def _separate(node: Node, analysis: Analysis) -> None:
    """Pieces of its own for each reader that keeps channels apart, where readers may differ or channels are zero."""
    if node.op not in ("placeholder", "call_function") or not isinstance(g.value(node), torch.Tensor):
        return
    value = itself(node, analysis.facts(node))
    if value is None or (len(node.users) == 1 and len(value.pieces) == 1):
        return
    for user in list(node.users):
        if user in analysis.steps and _keeps_apart(user, analysis.steps[user]):
            user.replace_input_with(node, put_together(Edit(user), value))


def _keeps_apart(user: Node, step: Step) -> bool:
    """Does it need as many channels of what it reads as are needed of it?"""
    if step.mixer is not None:
        return step.mixer.groups > 1
    return step.links is not None and user.op == "call_function" and user.target not in PICKING
