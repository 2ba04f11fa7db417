"""Concatenations that hold the same pieces in the same order: the later one reads them from the earlier one."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.edit import Edit

aten = torch.ops.aten
Junction = tuple[Node, int, Node, int, int]
"""(source, its channel where a piece ends, next source, its channel where the next piece starts, axis)."""


@dataclass(frozen=True)
class Part:
    """Channels [start, end) of a source, which `node` makes, at `offset` in the concatenation."""

    node: Node
    source: Node
    start: int
    end: int
    offset: int


def reuse(gm: fx.GraphModule) -> None:
    """cat(.., a[2:], b[:3], ..) after y = cat(a, b) -> cat(.., y[2:..], ..), where that leaves no more calls."""
    while _reused(gm):
        pass


def _reused(gm: fx.GraphModule) -> bool:
    seen: dict[Junction, tuple[Node, int]] = {}
    changed = False
    for node in list(gm.graph.nodes):
        if not g.is_call(node, aten.cat.default) or not (parts := _parts(node)):
            continue
        if (run := _best(node, parts, seen)) is not None:
            node, changed = _replaced(node, parts, *run), True
            parts = _parts(node) if g.is_call(node, aten.cat.default) else []
        if parts:
            for k, junction in enumerate(_junctions(_spread(parts, _axis(node)), _axis(node))):
                seen.setdefault(junction, (node, k))
    return changed


def _axis(node: Node) -> int:
    return (*node.args, 0)[1]  # type: ignore[return-value]


def _parts(node: Node) -> list[Part]:
    """The operands of a concatenation; nothing where a size is open."""
    values: Any = node.args[0]
    parts: list[Part] = []
    for x in values:
        size, offset = g.shape(x)[_axis(node)], sum(p.end - p.start for p in parts)
        if not isinstance(size, int):
            return []
        if g.is_call(x, aten.slice.Tensor) and x.args[1] == _axis(node) and (*x.args, 1)[4] == 1:
            parts.append(Part(x, x.args[0], x.args[2], x.args[2] + size, offset))
        else:
            parts.append(Part(x, x, 0, size, offset))
    return parts


def _spread(parts: list[Part], axis: int) -> list[Part]:
    """Parts of concatenations as parts of what these are made of."""
    found: list[Part] = []
    for part in parts:
        is_joined = g.is_call(part.source, aten.cat.default) and _axis(part.source) == axis
        inner = _spread(_parts(part.source), axis) if is_joined else []
        found += [cut for piece in inner if (cut := _cut(part, piece)) is not None] or [part]
    return found


def _cut(part: Part, piece: Part) -> Part | None:
    """What a part takes of a piece of its source."""
    first = max(part.start, piece.offset)
    end = min(part.end, piece.offset + piece.end - piece.start)
    shift = piece.start - piece.offset
    offset = part.offset + first - part.start
    return Part(part.node, piece.source, first + shift, end + shift, offset) if first < end else None


def _junctions(parts: list[Part], axis: int) -> list[Junction]:
    return [(a.source, a.end, b.source, b.start, axis) for a, b in pairwise(parts)]


def _best(node: Node, parts: list[Part], seen: dict[Junction, tuple[Node, int]]) -> tuple[int, int, Node, int] | None:
    """(first part, last part, the other concatenation, first channel there) of the run that saves most calls."""
    found: list[tuple[int, tuple[int, int, Node, int]]] = []
    for first, junction in enumerate(_junctions(parts, _axis(node))):
        if junction in seen and (run := _run(node, parts, first, *seen[junction])) is not None:
            found.append(run)
    gain, best = max(found, key=lambda one: one[0], default=(-1, None))
    return best if gain >= 0 else None


def _run(
    node: Node, parts: list[Part], first: int, other: Node, k: int
) -> tuple[int, tuple[int, int, Node, int]] | None:
    theirs, mine, last = _spread(_parts(other), _axis(other)), _junctions(parts, _axis(node)), first + 1
    there = _junctions(theirs, _axis(node))
    while last < len(mine) and k + last - first < len(there) and mine[last] == there[k + last - first]:
        last += 1
    if parts[first].start < theirs[k].start or parts[last].end > theirs[k + last - first].end:
        return None
    start = theirs[k].offset + parts[first].start - theirs[k].start
    count = parts[last].offset + parts[last].end - parts[last].start - parts[first].offset
    slices = {p.node for p in parts[first : last + 1] if p.node is not p.source and len(p.node.users) == 1}
    all_of_mine, all_of_it = last - first + 1 == len(parts), g.shape(other)[_axis(node)] == count
    return len(slices) + all_of_mine - (not all_of_it), (first, last, other, start)


def _replaced(node: Node, parts: list[Part], first: int, last: int, other: Node, start: int) -> Node:
    edit, axis = Edit(node), _axis(node)
    count = sum(p.end - p.start for p in parts[first : last + 1])
    part = other
    if g.shape(other)[axis] != count:
        part = edit.call(aten.slice.Tensor, other, axis, start, start + count, 1)
    left = [*(p.node for p in parts[:first]), part, *(p.node for p in parts[last + 1 :])]
    new = part if len(left) == 1 else edit.call(aten.cat.default, left, axis)
    new.meta["dtype"] = node.meta["dtype"]
    edit.replace(node, new)
    return new
