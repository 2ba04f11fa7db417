"""In-place operators become their functional forms, where no other value can see the mutation."""

from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload
from torch.fx import Node

from nascc.passes.errors import CanNotRead
from nascc.passes.graph import is_call, is_constant

# Composite operators whose result may share memory with their input, though their schema does not say so.
MAY_ALIAS = frozenset(
    "reshape contiguous flatten to dropout feature_dropout alpha_dropout type_as expand_as view_as reshape_as "
    "movedim moveaxis swapaxes swapdims ravel unflatten chunk tensor_split split narrow numpy_T matrix_H mT mH "
    "squeeze conj resolve_conj resolve_neg real positive atleast_1d atleast_2d atleast_3d".split()
)

_SAME_TENSOR = (
    torch.ops.aten.dropout.default,
    torch.ops.aten.dropout_.default,
    torch.ops.aten.feature_dropout.default,
    torch.ops.aten.feature_dropout_.default,
    torch.ops.aten.alpha_dropout.default,
    torch.ops.aten.alpha_dropout_.default,
    torch.ops.aten.feature_alpha_dropout.default,
    torch.ops.aten.alias.default,
    torch.ops.aten.detach.default,
    torch.ops.aten.detach_.default,
)


def drop_inactive(graph: fx.Graph) -> None:
    """Erase calls that return their very input, as a dropout in eval mode does: it may be written later."""
    for node in list(graph.nodes):
        if (
            is_call(node, *_SAME_TENSOR)
            and isinstance(node.args[0], Node)
            and not any(a is True for a in node.args[1:])
        ):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)


def functionalise(graph: fx.Graph) -> bool:
    """Replace every in-place call. False: some mutation is visible elsewhere; the graph is then unusable."""
    order = {node: k for k, node in enumerate(graph.nodes)}
    for node in [n for n in graph.nodes if is_in_place(n)]:
        functional = _functional(node)
        if functional is None or _is_visible_elsewhere(node, order):
            return False
        _replace(node, functional, order)
    return True


def is_in_place(node: Node) -> bool:
    """Does the call write into one of its arguments?"""
    return isinstance(node.target, OpOverload) and node.op == "call_function" and node.target._schema.is_mutable


def _functional(node: Node) -> OpOverload | None:
    """The functional twin of an in-place call, when its result has the dtype and shape of what it overwrites."""
    op: Any = node.target
    name = op._schema.name.removeprefix("aten::")
    if not name.endswith("_") or op.namespace != "aten" or name in ("copy_", "set_", "resize_"):
        return None
    twin = getattr(getattr(torch.ops.aten, name[:-1], None), op._overloadname, None)
    return twin if isinstance(twin, OpOverload) and _keeps_dtype(node) else None


def _keeps_dtype(node: Node) -> bool:
    """In-place arithmetic keeps the dtype of its target; the functional form would promote to the widest."""
    dtypes = {n.meta["val"].dtype for n in node.all_input_nodes if isinstance(n.meta.get("val"), torch.Tensor)}
    return len({d for d in dtypes if d.is_floating_point or d.is_complex}) <= 1 and (
        node.meta["val"].is_floating_point() or len(dtypes) == 1
    )


def _is_visible_elsewhere(node: Node, order: dict[Node, int]) -> bool:
    target = node.args[0]
    if not isinstance(target, Node):
        return True
    for user in target.users:
        if user is not node and order[user] < order[node] and may_alias(user) and _is_read_after(user, node, order):
            return True
    while may_alias(target) and isinstance(target.args[0], Node):
        target = target.args[0]
        if len(target.users) > 1:
            return True
    return False


def _is_read_after(alias: Node, node: Node, order: dict[Node, int]) -> bool:
    return any(order[u] > order[node] or (may_alias(u) and _is_read_after(u, node, order)) for u in alias.users)


def may_alias(node: Node) -> bool:
    """May the result share memory with the first argument?"""
    if node.op != "call_function" or not node.args:
        return False
    if not isinstance(node.target, OpOverload):
        return True
    schema = node.target._schema
    name = schema.name.removeprefix("aten::")
    return name in MAY_ALIAS or any(r.alias_info is not None for r in schema.returns)


def _replace(node: Node, functional: OpOverload, order: dict[Node, int]) -> None:
    target = node.args[0]
    assert isinstance(target, Node)
    with node.graph.inserting_before(node):
        new = node.graph.call_function(functional, node.args, node.kwargs)
    new.meta = dict(node.meta)
    order[new] = order[node]
    node.replace_all_uses_with(new)
    target.replace_all_uses_with(new, lambda user: order[user] > order[node])
    node.graph.erase_node(node)
    if is_constant(target) and new.users:
        raise CanNotRead(
            f"forward must not change the model, but it updates '{target.target}' in place ({functional}); "
            "capture the model in eval mode, or compute the value outside of a buffer"
        )


def has_in_place(graph: fx.Graph) -> bool:
    """Does any call of the graph write into its arguments?"""
    return any(is_call(n) and is_in_place(n) for n in graph.nodes)
