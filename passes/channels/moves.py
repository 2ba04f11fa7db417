"""Operators that move elements and compute nothing: where each channel of the result was before."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.channels.facts import Facts, Link, Step, positions, through
from nascc.passes.channels.reshaped import reshaped

aten = torch.ops.aten
Known = Callable[[Node], Facts]


def _step(links: list[Link], known: Known, copies: bool) -> Step:
    unchanged = tuple(link for link in links if copies and not link.pinned)
    return Step(through(links, [known(link.operand) for link in links]), tuple(links), unchanged)


def _arguments(node: Node) -> Any:
    return node.args


def _by_running(node: Node, known: Known) -> Step | None:
    """permute, flip, unsqueeze, squeeze, channel shuffles: the operator itself moves the numbers of the channels."""
    x: Any = node.args[0]
    if not isinstance(g.value(node), Tensor):
        return None
    index: Tensor = node.target(positions(known(x).layout), *node.args[1:])  # type: ignore[operator]
    return _step([Link(x, index)], known, copies=node.target in _SHUFFLES)


def _reshape(node: Node, known: Known) -> Step | None:
    """reshape, flatten: dimensions are joined and split; sizes that are open may only stay as they are."""
    x: Any = node.args[0]
    index = reshaped(known(x).layout, g.shape(x), g.shape(node))
    return None if index is None else _step([Link(x, index)], known, copies=False)


def _slice(node: Node, known: Known) -> Step | None:
    x, dim, *bounds = _arguments(node)
    layout = known(x).layout
    index = positions(layout)
    if layout[dim] > 1:
        if not all(isinstance(b, int) for b in bounds):
            return None
        start, end, step = bounds
        index = index[(slice(None),) * dim + (slice(start, end, step),)]
        return _step([Link(x, index)], known, copies=True)
    return _step([Link(x, index)], known, copies=False)


def _select(node: Node, known: Known) -> Step | None:
    x, dim, at = _arguments(node)
    layout = known(x).layout
    if layout[dim] > 1 and not isinstance(at, int):
        return None
    index = positions(layout).select(dim, at if layout[dim] > 1 else 0)
    return _step([Link(x, index)], known, copies=False)


def _index_select(node: Node, known: Known) -> Step | None:
    x, dim, which = _arguments(node)
    layout = known(x).layout
    if layout[dim] == 1:
        return _step([Link(x, positions(layout))], known, copies=False)
    if not g.is_constant(which):
        return None
    index = positions(layout).index_select(dim, g.constant(which))
    return _step([Link(x, index)], known, copies=True)


def _split(node: Node, known: Known) -> Step | None:
    """The value of a split is what is split; the parts are taken by `getitem`."""
    x: Any = node.args[0]
    return _step([Link(x, positions(known(x).layout))], known, copies=True)


def _getitem(node: Node, known: Known) -> Step | None:
    parts, k = _arguments(node)
    if not g.is_call(parts, aten.split_with_sizes.default):
        return None
    a = arguments(parts)
    layout, dim = known(parts).layout, a["dim"]
    index = positions(layout)
    if layout[dim] > 1:
        start = sum(a["split_sizes"][:k])
        index = index.narrow(dim, start, a["split_sizes"][k])
    return _step([Link(parts, index)], known, copies=layout[dim] > 1)


def _cat(node: Node, known: Known) -> Step | None:
    values, dim = (*_arguments(node), 0)[:2]
    if any(g.is_constant(x) for x in values):
        return None
    sizes = [g.shape(x)[dim] for x in values]
    layouts = [known(x).layout for x in values]
    others = [tuple(s for k, s in enumerate(layout) if k != dim) for layout in layouts]
    if any(o != others[0] for o in others):
        return None
    if all(layout[dim] == 1 for layout in layouts) and not all(g.same(s, 1) for s in sizes):
        return _step([Link(x, positions(known(x).layout)) for x in values], known, copies=False)
    if not all(isinstance(s, int) for s in sizes):
        return None
    return _step(_side_by_side(values, layouts, [int(s) for s in sizes], dim), known, copies=True)


def _side_by_side(values: list[Node], layouts: list[tuple[int, ...]], sizes: list[int], dim: int) -> list[Link]:
    whole, start, links = [*layouts[0]], 0, []
    whole[dim] = sum(sizes)
    for x, layout, size in zip(values, layouts, sizes, strict=True):
        index = torch.full(whole, -1)
        shape = [size if k == dim else s for k, s in enumerate(layout)]
        index.narrow(dim, start, size).copy_(positions(layout).expand(shape))
        links.append(Link(x, index, pinned=layout[dim] != size))
        start += size
    return links


def _expand(node: Node, known: Known) -> Step | None:
    """expand: new dimensions in front, dimensions of 1 repeated; what is told apart stays so."""
    x: Any = node.args[0]
    layout = known(x).layout
    return _step([Link(x, positions((1,) * (len(g.shape(node)) - len(layout)) + layout))], known, copies=False)


def _repeat(node: Node, known: Known) -> Step | None:
    x: Any = node.args[0]
    repeats: Any = node.args[1]
    layout = (1,) * (len(repeats) - len(known(x).layout)) + known(x).layout
    if not all(isinstance(r, int) for r in repeats):
        return None
    index = positions(layout).repeat([r if size > 1 else 1 for r, size in zip(repeats, layout, strict=True)])
    return _step([Link(x, index)], known, copies=False)


def _pixel_unshuffle(node: Node, known: Known) -> Step | None:
    """[C, H r, W r] -> [C r r, H, W]: each channel becomes r * r of them."""
    x, r = _arguments(node)
    layout = known(x).layout
    if max(layout[-2:]) > 1:
        return None
    index = positions(layout)
    if layout[-3] > 1:
        index = index.repeat_interleave(r * r, dim=-3)
    return _step([Link(x, index)], known, copies=False)


def _pixel_shuffle(node: Node, known: Known) -> Step | None:
    """[C r r, H, W] -> [C, H r, W r]: a channel is made of r * r of them."""
    x, r = _arguments(node)
    layout = known(x).layout
    if max(layout[-2:]) > 1 or layout[-3] == 1:
        return None
    index = positions(layout).reshape(*layout[:-3], -1, r * r, 1, 1)
    links = [Link(x, index.select(-3, k)) for k in range(r * r)]
    return _step(links, known, copies=False)


_SHUFFLES = (aten.channel_shuffle.default, aten.native_channel_shuffle.default)

MOVES: dict[Any, Callable[[Node, Known], Step | None]] = {
    **dict.fromkeys(
        [aten.permute.default, aten.flip.default, aten.unsqueeze.default, aten.squeeze.dims, *_SHUFFLES], _by_running
    ),
    **dict.fromkeys([aten.reshape.default, aten.flatten.using_ints], _reshape),
    aten.slice.Tensor: _slice,
    aten.select.int: _select,
    aten.index_select.default: _index_select,
    aten.split_with_sizes.default: _split,
    operator.getitem: _getitem,
    aten.cat.default: _cat,
    aten.expand.default: _expand,
    aten.repeat.default: _repeat,
    aten.pixel_shuffle.default: _pixel_shuffle,
    aten.pixel_unshuffle.default: _pixel_unshuffle,
}
