"""Calls that compute nothing in inference: dropout, copies, guards."""

from typing import Any

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.edit import Edit

aten = torch.ops.aten


def first(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """f(x) -> x."""
    return node.args[0] if isinstance(node.args[0], Node) else None


def dropout(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """dropout(x, p, train=False) -> x; a dropout that is still random stays."""
    return None if a["train"] else first(edit, node, a)


def cast(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """to(x) of any spelling -> _to_copy(x, dtype); x itself when it already has the dtype."""
    x, val = node.args[0], node.meta["val"]
    if not isinstance(x, Node) or not isinstance(x.meta.get("val"), torch.Tensor):
        return None
    if g.dtype(x) == g.dtype(node):
        return x
    if node.target is aten._to_copy.default and set(node.kwargs) == {"dtype"}:
        return None
    new = edit.call(aten._to_copy.default, x, dtype=val.dtype)
    new.meta["dtype"] = g.dtype(node)
    return new


def nothing(edit: Edit, node: Node, a: dict[str, Any]) -> Node | None:
    """A check whose result nobody reads: erased."""
    if not node.users:
        node.graph.erase_node(node)
    return None


VANISH: dict[Any, Any] = {
    aten.alias.default: first,
    aten.clone.default: first,
    aten.contiguous.default: first,
    aten.detach.default: first,
    aten.detach_.default: first,
    aten.lift_fresh.default: first,
    aten.lift_fresh_copy.default: first,
    aten.positive.default: first,
    aten.resolve_conj.default: first,
    aten.resolve_neg.default: first,
    aten.dropout.default: dropout,
    aten.feature_dropout.default: dropout,
    aten.alpha_dropout.default: dropout,
    aten.feature_alpha_dropout.default: dropout,
    aten._to_copy.default: cast,
    aten.to.dtype: cast,
    aten.to.dtype_layout: cast,
    aten.to.device: cast,
    aten.to.other: cast,
    aten.type_as.default: cast,
    aten._assert_tensor_metadata.default: nothing,
    aten._assert_scalar.default: nothing,
    aten._assert_async.msg: nothing,
    aten.sym_constrain_range.default: nothing,
    aten.sym_constrain_range_for_size.default: nothing,
}
