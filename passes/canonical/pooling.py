"""Pooling, resizing and padding of every spelling become one call each."""

import operator
from typing import Any

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import full, is_number
from nascc.passes.edit import Edit

aten = torch.ops.aten


def max_pool(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """max_poolNd with its options as full lists; the stride defaults to the kernel."""
    n = int(str(node.target).split("max_pool")[1][0])
    kernel = full(a["kernel_size"], n)
    call: list[Any] = [kernel, full(a["stride"], n) if a["stride"] else kernel]
    call += [full(a["padding"], n), full(a["dilation"], n), bool(a["ceil_mode"])]
    if list(node.args[1:]) == call:
        return None
    return edit.call(node.target, a["self"], *call)  # type: ignore[arg-type]


def max_pool_with_indices(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """max_poolNd_with_indices(x)[0] -> max_poolNd(x), when nobody reads the indices."""
    plain = {
        aten.max_pool2d_with_indices.default: aten.max_pool2d.default,
        aten.max_pool3d_with_indices.default: aten.max_pool3d.default,
        aten.max_pool1d_with_indices.default: aten.max_pool1d.default,
    }[node.target]  # type: ignore[index]
    return _only_first(edit, node, plain, [v for k, v in a.items()])


def adaptive_max_pool(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """adaptive_max_pool(x, 1)[0] -> amax over the spatial dimensions."""
    n = len(a["output_size"])
    if any(s != 1 for s in a["output_size"]):
        return None
    rank = len(g.shape(a["self"]))
    return _only_first(edit, node, aten.amax.default, [a["self"], list(range(rank - n, rank)), True])


def _only_first(edit: Edit, node: Node, target: Any, call: list[Any]) -> Node | None:
    users = list(node.users)
    if any(u.target is not operator.getitem or u.args[1] != 0 for u in users):
        return None
    out = edit.call(target, *call)
    for user in users:
        user.replace_all_uses_with(out)
        node.graph.erase_node(user)
    return out


def avg_pool(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """avg_poolNd with its options as full lists; the stride defaults to the kernel."""
    n = int(str(node.target).split("avg_pool")[1][0])
    kernel = full(a["kernel_size"], n)
    call: list[Any] = [kernel, full(a["stride"], n) if a["stride"] else kernel, full(a["padding"], n)]
    call += [bool(a["ceil_mode"]), bool(a["count_include_pad"])]
    call += [a["divisor_override"]] if a.get("divisor_override") else []
    return None if list(node.args[1:]) == call else edit.call(node.target, a["self"], *call)  # type: ignore[arg-type]


def pad(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """pad(x, sides, mode, value) -> constant_pad_nd, reflection_pad, replication_pad; x when all sides are 0."""
    x, sides, mode = a["self"], list(a["pad"]), a["mode"]
    if all(is_number(s) and s == 0 for s in sides):
        return x if isinstance(x, Node) else None
    if mode == "constant":
        return edit.call(aten.constant_pad_nd.default, x, sides, a["value"] or 0)
    n = len(sides) // 2
    target = {"reflect": f"reflection_pad{n}d", "replicate": f"replication_pad{n}d"}.get(mode)
    return None if target is None else edit.call(getattr(aten, target).default, x, sides)


def constant_pad(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """constant_pad_nd of nothing -> x."""
    return a["self"] if all(is_number(s) and s == 0 for s in a["pad"]) else None


POOLING: dict[Any, Any] = {
    aten.max_pool1d.default: max_pool,
    aten.max_pool2d.default: max_pool,
    aten.max_pool3d.default: max_pool,
    aten.max_pool1d_with_indices.default: max_pool_with_indices,
    aten.max_pool2d_with_indices.default: max_pool_with_indices,
    aten.max_pool3d_with_indices.default: max_pool_with_indices,
    aten.adaptive_max_pool1d.default: adaptive_max_pool,
    aten.adaptive_max_pool2d.default: adaptive_max_pool,
    aten.adaptive_max_pool3d.default: adaptive_max_pool,
    aten.avg_pool1d.default: avg_pool,
    aten.avg_pool2d.default: avg_pool,
    aten.avg_pool3d.default: avg_pool,
    aten.pad.default: pad,
    aten.constant_pad_nd.default: constant_pad,
}
