"""Every call becomes the one canonical form of what it does; the tables of rules stand in the files beside this one."""

from collections.abc import Callable
from typing import Any

from torch import fx
from torch._ops import OpOverload
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.canonical.arithmetic import ARITHMETIC
from nascc.passes.canonical.convolutions import CONVOLUTIONS
from nascc.passes.canonical.pooling import POOLING
from nascc.passes.canonical.shapes import SHAPES
from nascc.passes.canonical.vanish import VANISH
from nascc.passes.canonical.vocabulary import VOCABULARY
from nascc.passes.edit import Edit

Rule = Callable[[Edit, Node, dict[str, Any]], Node | None]

RULES: dict[Any, Rule] = {**VANISH, **CONVOLUTIONS, **SHAPES, **POOLING, **ARITHMETIC}
MAX_ROUNDS = 4


def normalise(gm: fx.GraphModule) -> None:
    """Apply the rules until none applies; what becomes dead goes."""
    for _ in range(MAX_ROUNDS):
        if not sum(_apply(node) for node in list(gm.graph.nodes) if not node._erased):
            break
    for node in reversed(list(gm.graph.nodes)):
        if node.op in ("call_function", "get_attr") and not node.users:
            g.erase_dead(node)
    for name in g.unused_constants(gm):
        g.delete_constant(gm, name)


def foreign(gm: fx.GraphModule) -> set[OpOverload]:
    """Operators of the graph that have no canonical form."""
    return {
        n.target
        for n in gm.graph.nodes
        if n.op == "call_function" and isinstance(n.target, OpOverload) and n.target not in VOCABULARY
    }


def _apply(node: Node) -> bool:
    rule = RULES.get(node.target) if node.op == "call_function" else None
    if rule is None:
        return False
    edit = Edit(node)
    new = rule(edit, node, arguments(node))
    if new is None or new is node:
        return False
    node.replace_all_uses_with(new)
    g.erase_dead(node)
    return True
