"""The verbs with which passes change a graph: make a constant, make a call, replace a node."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.errors import PassError


class Edit:
    """Makes nodes in front of `at`; they inherit its provenance, and know their shape and recorded dtype."""

    def __init__(self, at: Node) -> None:
        self.at = at
        self.gm: fx.GraphModule = g.owner(at)

    def call(self, target: Callable[..., Any], *args: Any, like: Node | None = None, **kwargs: Any) -> Node:
        """A call of `target`; provenance from `like` (default: the anchor), recorded dtype from its inputs."""
        with self.at.graph.inserting_before(self.at):
            node = self.at.graph.call_function(target, args, kwargs)
        inherit(node, like or self.at)
        node.meta["val"] = g.infer(target, args, kwargs)
        node.meta["dtype"] = recorded(node.meta["val"], node.all_input_nodes)
        return node

    def constant(self, value: Tensor, name: str, *, like: Node | None = None) -> Node:
        """A new constant under `name`, or `name_1` ... while the old one lives; recorded dtype as `like`'s."""
        name = g.free_name(self.gm, name)
        g.set_constant(self.gm, name, value.detach().contiguous())
        with self.at.graph.inserting_before(self.at):
            node = self.at.graph.create_node("get_attr", name)
        inherit(node, like or self.at)
        node.meta["is_new"] = True
        node.meta["val"] = fake(value, self.at)
        given = g.dtype(like) if like is not None else g.dtype(self.at)
        node.meta["dtype"] = given if value.is_floating_point() and given is not None else value.dtype
        return node

    def conv_like(self, conv: "Any", *, weight: Tensor, bias: Tensor | None, **changed: Any) -> Node:
        """A convolution as `conv` (a view of one), with other numbers; `changed` names other fields."""
        w = self.constant(weight, conv.weight_name, like=conv.node.args[1])
        b = None if bias is None else self.constant(bias, conv.bias_name, like=conv.node.args[1])
        fields = {k: changed.get(k, getattr(conv, k)) for k in conv.ATTRIBUTES}
        return self.call(conv.TARGET, changed.get("input", conv.input), w, b, *fields.values(), like=conv.node)

    def replace(self, old: Node, new: Node) -> None:
        """Let `new` stand for `old` wherever that is used, and for the modules of all that dies with it."""
        if new is old:
            raise PassError(f"'{old.name}' can not replace itself")
        for user in list(old.users):
            if user is not new:
                user.replace_input_with(old, new)
        for dead in g.erase_dead(old):
            absorb(new, g.sources(dead))


def inherit(node: Node, origin: Node) -> None:
    """Give a new node the provenance of another."""
    for key in ("nn_module_stack", "module", "sources", "stack_trace"):
        if key in origin.meta:
            node.meta[key] = origin.meta[key]


def absorb(node: Node, paths: Iterable[str]) -> None:
    """Add module paths to those that a node stands for, keeping their order."""
    if node.op == "call_function":
        node.meta["sources"] = tuple(dict.fromkeys((*g.sources(node), *paths)))


def fake(value: Tensor, near: Node) -> Any:
    """A fake tensor like `value`, in the fake mode of the graph around `near`."""
    mode = fake_mode(near.graph)
    with mode:
        return torch.empty(value.shape, dtype=value.dtype)


def fake_mode(graph: fx.Graph) -> Any:
    """The fake mode that the values of a graph live in."""
    for node in graph.nodes:
        if (mode := getattr(node.meta.get("val"), "fake_mode", None)) is not None:
            return mode
    raise PassError("graph must record the shape of at least one value, found none")


def recorded(val: Any, inputs: Iterable[Node]) -> Any:
    """Recorded dtype of a new value: its own, except that computing in float64 says nothing about deployment."""
    if isinstance(val, (tuple, list)):
        inputs = list(inputs)
        return tuple(recorded(v, inputs) for v in val)
    if not isinstance(val, Tensor):
        return None
    if val.dtype is not torch.float64:
        return val.dtype
    floats = [n for n in inputs if g.is_floating(n)]
    if all(g.value(n).dtype == g.dtype(n) for n in floats):
        return val.dtype
    return _widest([d for n in floats if (d := g.dtype(n)) is not None])


def _widest(dtypes: list[torch.dtype]) -> torch.dtype:
    widest = dtypes[0]
    for other in dtypes[1:]:
        widest = torch.promote_types(widest, other)
    return widest
