"""Operators that move elements and compute nothing: where each channel of the result was before."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments, is_number
from nascc.passes.channels.facts import Facts, Link, Step, layout_of, positions, settled, through
from nascc.passes.channels.pointwise import of_constant
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
    layout = known(x).layout
    if node.target in _SHUFFLES and layout[1] == 1:  # channels that are not told apart
        return _step([Link(x, positions(layout))], known, copies=False)
    index: Tensor = node.target(positions(layout), *node.args[1:])  # type: ignore[operator]
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
        return _step([Link(x, index, coupled=False)], known, copies=True)
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
    return _step([Link(x, index, coupled=False)], known, copies=True)


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


def _slice_scatter(node: Node, known: Known) -> Step | None:
    """A value with some of its channels, or all of it, replaced by those of another."""
    a = arguments(node)
    x, new, dim = a["self"], a["src"], a["dim"]
    layout, size = known(x).layout, g.shape(x)[dim]
    if g.same(g.shape(new)[dim], size) and a["step"] == 1:
        return _unmixed([Link(new, positions(known(new).layout))], known)
    if layout[dim] == 1 or any(
        s != t for k, (s, t) in enumerate(zip(layout, known(new).layout, strict=True)) if k != dim
    ):
        return None
    bounds = slice(a["start"], a["end"], a["step"])
    if not all(b is None or isinstance(b, int) for b in (bounds.start, bounds.stop, bounds.step)):
        return None
    below, above = positions(layout).clone(), torch.full(layout, -1)
    at = (slice(None),) * dim + (bounds,)
    if above[at].shape != known(new).layout:
        return None
    below[at], above[at] = -1, positions(known(new).layout)
    return _unmixed([Link(x, below), Link(new, above)], known)


def _copy(node: Node, known: Known) -> Step | None:
    """copy(x, y) is y, in the shape and type of x."""
    x, new = _arguments(node)[:2]
    sizes = g.shape(x), g.shape(new)
    if len(sizes[0]) != len(sizes[1]) or not all(map(g.same, *sizes)):
        return None
    return _unmixed([Link(new, positions(known(new).layout))], known)


def _unmixed(links: list[Link], known: Known) -> Step:
    """Copies through an operator that can not itself lose channels."""
    return Step(through(links, [known(link.operand) for link in links]), None, tuple(links))


def _filled(node: Node, known: Known) -> Step | None:
    """zeros, ones, full, and those like another value: one number everywhere."""
    value = g.value(node)
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return None
    number = _FILLS[node.target]
    fill = arguments(node).get("fill_value") if number is None else number
    if not is_number(fill):
        return None
    layout = layout_of(node, joined_along(node))
    numbers = torch.full(layout, float(fill), dtype=value.dtype)  # type: ignore[arg-type]
    return Step(settled(torch.ones(layout, dtype=torch.bool), numbers))


def joined_along(node: Node) -> int | None:
    """The axis along which the channels of a constant are told apart: that along which it is joined to others."""
    dims: list[Any] = [(*u.args, 0)[1] for u in node.users if g.is_call(u, aten.cat.default)]
    return int(dims[0]) if dims else (1 if len(g.shape(node)) > 1 else None)


def _expand(node: Node, known: Known) -> Step | None:
    """expand: new dimensions in front, dimensions of 1 repeated; what is told apart stays so."""
    x: Any = node.args[0]
    if g.is_constant(x):
        return _expanded(node, g.constant(x))
    layout = known(x).layout
    return _step([Link(x, positions((1,) * (len(g.shape(node)) - len(layout)) + layout))], known, copies=False)


def _expanded(node: Node, number: Tensor) -> Step:
    """A constant expanded (to an open size, else it has been evaluated): told apart where it has several numbers."""
    sizes = (1,) * (len(g.shape(node)) - number.ndim) + tuple(number.shape)
    axis = next((k for k, size in enumerate(sizes) if size > 1), None)
    return Step(settled(*of_constant(number, layout_of(node, axis))))


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

_FILLS: dict[Any, float | None] = {
    **dict.fromkeys([aten.zeros.default, aten.zeros_like.default, aten.new_zeros.default], 0.0),
    **dict.fromkeys([aten.ones.default, aten.ones_like.default], 1.0),
    **dict.fromkeys([aten.full.default, aten.full_like.default, aten.new_full.default], None),
}

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
    aten.slice_scatter.default: _slice_scatter,
    aten.copy.default: _copy,
    **dict.fromkeys(_FILLS, _filled),
    aten.expand.default: _expand,
    aten.repeat.default: _repeat,
    aten.pixel_shuffle.default: _pixel_shuffle,
    aten.pixel_unshuffle.default: _pixel_unshuffle,
}
