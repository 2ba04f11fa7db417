"""Reshapes, permutations, slices and splits of every spelling become one call each."""

import operator
from typing import Any

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import is_number, wrap, wrap_all
from nascc.passes.edit import Edit

aten = torch.ops.aten


def reshape(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """view, flatten, unflatten, ravel ... -> reshape(x, sizes) while at most one size is symbolic."""
    x: Any = a["self"] if "self" in a else a["input"]
    sizes = g.shape(node)
    symbolic = [k for k, s in enumerate(sizes) if not isinstance(s, int)]
    if node.target in (aten.view.default, aten._unsafe_view.default, aten.reshape.default) and len(symbolic) > 1:
        return None if node.target is aten.reshape.default else edit.call(aten.reshape.default, x, a["size"])
    if len(symbolic) > 1:
        return None
    target = [-1 if k in symbolic else s for k, s in enumerate(sizes)]
    if node.target is aten.reshape.default and node.args[1] == target:
        return None
    return _as(node, edit.call(aten.reshape.default, x, target))


def view_as(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """view_as, reshape_as -> reshape, when at most one size is symbolic."""
    return reshape(edit, node, a)


def squeeze(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """squeeze of any spelling -> squeeze.dims(x, [d, ...]) over sizes that are 1."""
    x = a["self"]
    rank = len(g.shape(x))
    dims = a.get("dim")
    wanted = range(rank) if dims is None else wrap_all(dims if dims != [] else [rank], rank)
    gone = [d for d in wanted if d < rank and g.same(g.shape(x)[d], 1)]
    if not gone:
        return x if rank == len(g.shape(node)) else None
    if node.target is aten.squeeze.dims and node.args[1] == gone:
        return None
    return _as(node, edit.call(aten.squeeze.dims, x, gone))


def unsqueeze(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """unsqueeze with a dimension counted from the front."""
    dim = wrap(a["dim"], len(g.shape(node)))
    return None if dim == a["dim"] else edit.call(aten.unsqueeze.default, a["self"], dim)


def permute(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """transpose, t, movedim, swapaxes, mT, permute -> permute(x, dims), dims from the front; x for the identity."""
    x: Any = a.get("self", node.args[0])
    rank = len(g.shape(x))
    order = _order(node, a, rank)
    if order == list(range(rank)):
        return x if isinstance(x, Node) else None
    if node.target is aten.permute.default and list(a["dims"]) == order:
        return None
    return _as(node, edit.call(aten.permute.default, x, order))


def _order(node: Node, a: dict[str, Any], rank: int) -> list[int]:
    if "dims" in a:
        return wrap_all(a["dims"], rank)
    order = list(range(rank))
    if "source" in a:
        return _moved(wrap_all(a["source"], rank), wrap_all(a["destination"], rank), rank)
    if node.target is aten.numpy_T.default:
        return order[::-1]
    d0, d1 = (a.get("dim0", a.get("axis0", -2)), a.get("dim1", a.get("axis1", -1))) if rank > 1 else (0, 0)
    i, j = wrap(d0, rank), wrap(d1, rank)
    order[i], order[j] = order[j], order[i]
    return order


def _moved(source: list[int], destination: list[int], rank: int) -> list[int]:
    order: list[int | None] = [None] * rank
    for s, d in zip(source, destination, strict=True):
        order[d] = s
    rest = iter(d for d in range(rank) if d not in source)
    return [next(rest) if d is None else d for d in order]


def select(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """select with dimension and index counted from the front."""
    rank = len(g.shape(a["self"]))
    dim, index, size = wrap(a["dim"], rank), a["index"], g.shape(a["self"])[wrap(a["dim"], rank)]
    if isinstance(index, int) and index < 0 and isinstance(size, int):
        index += size
    if dim == a["dim"] and index is a["index"]:
        return None
    return edit.call(aten.select.int, a["self"], dim, index)


def slice_(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """slice with numbers spelled out: slice(x, dim, start, end, step); x itself when it takes everything."""
    x = a["self"]
    rank = len(g.shape(x))
    dim, size = wrap(a["dim"], rank), g.shape(x)[wrap(a["dim"], rank)]
    start, end, step = a["start"] or 0, a["end"], a["step"]
    if is_number(start) and is_number(step) and start == 0 and step == 1 and g.same(g.shape(node)[dim], size):
        return x if isinstance(x, Node) else None
    if isinstance(size, int) and isinstance(start, int) and (end is None or isinstance(end, int)):
        start, end = _clamped(start, size), size if end is None else _clamped(end, size)
    elif end is None:
        end = torch.iinfo(torch.int64).max
    new = (x, dim, start, end, step)
    return None if tuple(node.args) == new else edit.call(aten.slice.Tensor, *new)


def _clamped(k: int, size: int) -> int:
    return max(0, min(k + size if k < 0 else k, size))


def narrow(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """narrow(x, dim, start, length) -> slice(x, dim, start, start + length, 1)."""
    if not isinstance(a["start"], int) or not isinstance(a["length"], int):
        return None
    dim = wrap(a["dim"], len(g.shape(a["self"])))
    size = g.shape(a["self"])[dim]
    start = a["start"] + size if a["start"] < 0 and isinstance(size, int) else a["start"]
    return edit.call(aten.slice.Tensor, a["self"], dim, start, start + a["length"], 1)


def split(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """chunk, split, tensor_split -> split_with_sizes(x, sizes, dim)."""
    x = a["self"]
    dim = wrap(a["dim"], len(g.shape(x)))
    sizes = [v.shape[dim] for v in node.meta["val"]]
    if not all(isinstance(s, int) for s in sizes):
        return None
    if node.target is aten.split_with_sizes.default and list(node.args[1:]) == [sizes, dim]:
        return None
    return edit.call(aten.split_with_sizes.default, x, sizes, dim)


def unbind(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """unbind(x, dim)[k] -> select(x, dim, k)."""
    dim = wrap(a["dim"], len(g.shape(a["self"])))
    for user in list(node.users):
        if user.target is not operator.getitem:
            return None
    for user in list(node.users):
        k = user.args[1] if user.args[1] >= 0 else user.args[1] + len(node.meta["val"])  # type: ignore[operator]
        at = Edit(user)
        user.replace_all_uses_with(at.call(aten.select.int, a["self"], dim, k))
        node.graph.erase_node(user)
    g.erase_dead(node)
    return None


def unfold(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """x.unfold(dim, size, step) -> the windows' indices selected, split off and moved to the end (static sizes)."""
    x, size, step = a["self"], a["size"], a["step"]
    sizes, dim = list(g.shape(x)), wrap(a["dimension"], len(g.shape(x)))
    if not all(isinstance(s, int) for s in sizes):
        return None
    windows = g.shape(node)[dim]
    index = (torch.arange(int(windows)) * step).unsqueeze(1) + torch.arange(size)
    picked = edit.call(aten.index_select.default, x, dim, edit.constant(index.reshape(-1), f"{g.label(node)}.windows"))
    split = edit.call(aten.reshape.default, picked, [*sizes[:dim], windows, size, *sizes[dim + 1 :]])
    order = [d for d in range(len(sizes) + 1) if d != dim + 1]
    return edit.call(aten.permute.default, split, [*order, dim + 1])


def same_shape(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """expand to the shape it has -> x."""
    x = a["self"]
    if len(g.shape(x)) == len(g.shape(node)) and all(map(g.same, g.shape(x), g.shape(node))):
        return x if isinstance(x, Node) else None
    if node.target is aten.expand_as.default and all(isinstance(s, int) for s in g.shape(node)):
        return edit.call(aten.expand.default, x, list(g.shape(node)))
    return None


def concat(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """concat, concatenate, cat -> cat(values, dim), dim from the front."""
    dim = wrap(a.get("dim", a.get("axis", 0)) or 0, len(g.shape(node)))
    if node.target is aten.cat.default and list(node.args[1:]) == [dim]:
        return None
    return edit.call(aten.cat.default, a["tensors"], dim)


def _as(node: Node, new: Node) -> Node:
    """Keep the symbolic sizes that capture recorded: they may be simpler than those computed anew."""
    new.meta["val"] = node.meta["val"]
    return new


def _table() -> dict[Any, Any]:
    rules: dict[Any, Any] = {}
    for rule, names in {
        reshape: "view.default _unsafe_view.default reshape.default flatten.using_ints unflatten.int ravel.default",
        view_as: "view_as.default reshape_as.default",
        squeeze: "squeeze.default squeeze.dim squeeze.dims",
        unsqueeze: "unsqueeze.default",
        permute: "permute.default transpose.int t.default movedim.int movedim.intlist moveaxis.int moveaxis.intlist "
        "swapaxes.default swapdims.default numpy_T.default mT.default adjoint.default",
        select: "select.int",
        slice_: "slice.Tensor",
        narrow: "narrow.default",
        split: "chunk.default split.Tensor split.sizes split_with_sizes.default "
        "tensor_split.sections tensor_split.indices",
        unbind: "unbind.int",
        unfold: "unfold.default",
        same_shape: "expand.default expand_as.default",
        concat: "cat.default concat.default concatenate.default",
    }.items():
        for name in names.split():
            packet, overload = name.split(".")
            rules[getattr(getattr(aten, packet), overload)] = rule
    return rules


SHAPES: dict[Any, Any] = _table()
