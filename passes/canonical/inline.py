"""Regions that capture wrapped (no_grad, autocast off) are put back where they were called."""

import operator
from typing import Any

from torch import fx
from torch._ops import HigherOrderOperator
from torch.fx import Node

from nascc.passes.errors import CanNotRead

WRAPPERS = {"wrap_with_set_grad_enabled": 1, "wrap_with_autocast": 4}


def inline_wrapped(root: fx.GraphModule, graph: fx.Graph) -> None:
    """Inline the bodies of wrapping higher-order operators. Raises CanNotRead for one with its own semantics."""
    for node in list(graph.nodes):
        name = getattr(node.target, "_name", None) or getattr(node.target, "__name__", "")
        if node.op != "call_function" or name not in WRAPPERS:
            continue
        if name == "wrap_with_autocast" and node.args[2]:
            raise CanNotRead("autocast regions must be off in eval mode; capture the model outside of torch.autocast")
        body = getattr(root, str(node.args[WRAPPERS[name]].target))
        _splice(node, body, node.args[WRAPPERS[name] + 1 :])
    _drop_unused_modules(graph)


def refuse_control_flow(graph: fx.Graph) -> None:
    """Raise CanNotRead when a call decides at run time what is computed, or does more than compute."""
    for node in graph.nodes:
        if isinstance(node.target, HigherOrderOperator):
            where = f" in '{node.meta['module']}'" if node.meta.get("module") else ""
            raise CanNotRead(
                f"the model must be one fixed graph, found '{node.target}'{where}; "
                "compute every branch and choose with torch.where, and unroll loops"
            )


def _splice(node: Node, body: fx.GraphModule, inputs: tuple[Any, ...]) -> None:
    made: dict[Node, Any] = dict(zip(body.graph.find_nodes(op="placeholder"), inputs, strict=True))
    with node.graph.inserting_before(node):
        for inner in body.graph.nodes:
            if inner.op == "output":
                break
            if inner.op != "placeholder":
                made[inner] = node.graph.node_copy(inner, made.__getitem__)
    results = fx.node.map_arg(inner.args[0], made.__getitem__)
    for user in list(node.users):
        assert user.target is operator.getitem
        user.replace_all_uses_with(results[user.args[1]])
        node.graph.erase_node(user)
    node.graph.erase_node(node)


def _drop_unused_modules(graph: fx.Graph) -> None:
    for node in list(graph.nodes):
        if node.op == "get_attr" and not node.users:
            graph.erase_node(node)
