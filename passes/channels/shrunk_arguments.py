"""Calls whose own arguments speak of channels: what they say when some are gone."""

import operator
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.channels.demand import Demand
from nascc.passes.channels.facts import Step
from nascc.passes.edit import Edit

aten = torch.ops.aten


class Run(Protocol):
    """What a rule may ask: the demand, the steps, what stands for an old value, and constants for a call."""

    demand: Demand
    steps: dict[Node, Step]

    def stands_for(self, node: Node) -> Node: ...

    def constant(self, edit: Edit, value: Tensor, name: str, like: Node) -> Node: ...

    def narrowed(self, edit: Edit, like: Node, value: Tensor, node: Node, name: str | None = None) -> Node: ...


Rule = Callable[[Any, Edit, Node], Node]


def _sized(run: Run, edit: Edit, node: Node) -> Node:
    """reshape, expand: sizes of dimensions that lost channels are smaller; -1 and open ones stay."""
    x, sizes = node.args
    layout = run.steps[node].facts.layout
    new = [
        len(run.demand.kept(node, k)) if layout[k] > 1 and isinstance(s, int) and s >= 0 else s
        for k, s in enumerate(sizes)  # type: ignore[arg-type]
    ]
    return edit.call(node.target, run.stands_for(x), new)  # type: ignore[arg-type]


def _normalised(run: Run, edit: Edit, node: Node) -> Node:
    a = arguments(node)
    names = ("weight", "bias", "running_mean", "running_var")
    kept = run.demand.kept(node, 1)
    vectors = [None if a[n] is None else _vector(run, edit, a[n], kept) for n in names]
    rest = [a[n] for n in ("training", "momentum", "eps", "cudnn_enabled")]
    return edit.call(node.target, run.stands_for(a["input"]), *vectors, *rest)  # type: ignore[arg-type]


def _vector(run: Any, edit: Edit, constant: Node, kept: Tensor) -> Node:
    value = g.constant(constant)
    new: Node = run.constant(edit, value.index_select(0, kept), str(constant.target), constant)
    return new


def _prelu(run: Any, edit: Edit, node: Node) -> Node:
    x, slope = node.args
    if g.constant(slope).numel() > 1:  # type: ignore[arg-type]
        slope = _vector(run, edit, slope, run.demand.kept(node, 1))  # type: ignore[arg-type]
    return edit.call(aten.prelu.default, run.stands_for(x), slope)


def _picked(run: Run, edit: Edit, node: Node, source: Node, dim: int) -> Node:
    """The channels of `node` out of `source`, where they stand along `dim`: as a slice if they can be."""
    link = (run.steps[node].links or ())[0]
    layout = run.steps[source].facts.layout
    stride = 1
    for size in layout[dim + 1 :]:
        stride *= size
    places = link.index.movedim(dim, 0).reshape(link.index.shape[dim], -1)[:, 0] // stride % layout[dim]
    wanted = places[run.demand.kept(node, dim)]
    at = torch.searchsorted(run.demand.kept(source, dim), wanted)
    x = run.stands_for(source)
    return picked(edit, x, dim, at)


def picked(edit: Edit, x: Node, dim: int, at: Tensor) -> Node:
    """Indices of a dimension: the value itself when they are all, a slice when they follow each other."""
    start, count = int(at[0]), len(at)
    if not torch.equal(at, torch.arange(start, start + count)):
        which = edit.constant(at, f"{g.label(edit.at)}.channels")
        return edit.call(aten.index_select.default, x, dim, which)
    if g.same(g.shape(x)[dim], count):
        return x
    return edit.call(aten.slice.Tensor, x, dim, start, start + count, 1)


def _slice(run: Run, edit: Edit, node: Node) -> Node:
    x, dim = node.args[:2]
    if run.steps[x].facts.layout[dim] == 1:  # type: ignore[index]
        return edit.call(node.target, run.stands_for(x), *node.args[1:])  # type: ignore[arg-type]
    return _picked(run, edit, node, x, dim)  # type: ignore[arg-type]


def _select(run: Run, edit: Edit, node: Node) -> Node:
    x, dim, at = node.args
    if run.steps[x].facts.layout[dim] > 1:  # type: ignore[index]
        at = int(torch.searchsorted(run.demand.kept(x, dim), torch.tensor(at)))  # type: ignore[arg-type]
    return edit.call(aten.select.int, run.stands_for(x), dim, at)  # type: ignore[arg-type]


def _split(run: Run, edit: Edit, node: Node) -> Node:
    """A split whose parts all keep something; else its input, of which the parts are slices."""
    x, sizes, dim = arguments(node).values()
    if run.steps[node].facts.layout[dim] == 1:
        return edit.call(node.target, run.stands_for(x), sizes, dim)  # type: ignore[arg-type]
    counts, kept, start = [], run.demand.kept(node, dim), 0
    for size in sizes:
        counts.append(int(((kept >= start) & (kept < start + size)).sum()))
        start += size
    if not all(counts):
        return run.stands_for(x)
    return edit.call(node.target, run.stands_for(x), counts, dim)  # type: ignore[arg-type]


def _getitem(run: Run, edit: Edit, node: Node) -> Node:
    parts: Any = node.args[0]
    new = run.stands_for(parts)
    if new is not run.stands_for(parts.args[0]):
        return edit.call(operator.getitem, new, node.args[1])
    return _picked(run, edit, node, parts, int(arguments(parts)["dim"]))


def _cat(run: Run, edit: Edit, node: Node) -> Node:
    values: Any = node.args[0]
    links, active = run.steps[node].links or (), run.demand.active[node]
    dim = (*node.args, 0)[1]
    left = [_joined(run, edit, x, dim) for x, link, a in zip(values, links, active, strict=True) if a]
    return left[0] if len(left) == 1 else edit.call(aten.cat.default, left, *node.args[1:])


def _joined(run: Run, edit: Edit, x: Node, dim: Any) -> Node:
    """What is joined, or of a constant the numbers that are left."""
    if not g.is_constant(x) or len(kept := run.demand.kept(x, dim)) == g.shape(x)[dim]:
        return run.stands_for(x)
    return run.constant(edit, g.constant(x).index_select(dim, kept), str(x.target), x)


def _padded(run: Run, edit: Edit, node: Node) -> Node:
    x, sides, *fill = node.args
    layout, before = run.steps[node].facts.layout, run.steps[x].facts.layout  # type: ignore[index]
    new = list(sides)  # type: ignore[arg-type]
    for k in range(len(new) // 2):
        dim = len(layout) - 1 - k
        if layout[dim] > 1 and (new[2 * k] or new[2 * k + 1]):
            kept = run.demand.kept(node, dim)
            new[2 * k], new[2 * k + 1] = (
                int((kept < new[2 * k]).sum()),
                int((kept >= new[2 * k] + before[dim]).sum()),
            )
    if not any(new):
        return run.stands_for(x)  # type: ignore[arg-type]
    return edit.call(node.target, run.stands_for(x), new, *fill)  # type: ignore[arg-type]


ARGUMENTS: dict[Any, Rule] = {
    **dict.fromkeys([aten.reshape.default, aten.expand.default], _sized),
    aten.batch_norm.default: _normalised,
    aten.prelu.default: _prelu,
    **dict.fromkeys([aten.slice.Tensor, aten.index_select.default], _slice),
    aten.select.int: _select,
    aten.split_with_sizes.default: _split,
    operator.getitem: _getitem,
    aten.cat.default: _cat,
    aten.constant_pad_nd.default: _padded,
}
