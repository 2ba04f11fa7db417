"""Between the model's own dtypes and float64, in which every rewrite is judged."""

from typing import Any

import torch
from torch import Tensor, fx
from torch.fx import Node
from torch.fx.graph import _PyTreeCodeGen, _PyTreeInfo
from torch.utils import _pytree as pytree

from nascc.passes import graph as g
from nascc.passes.signature import Fixed, Signature


def promote(gm: fx.GraphModule) -> None:
    """Compute in float64: constants, literal dtypes and recorded values of every floating dtype become float64."""
    for name, tensor in list(g.constants(gm)):
        if tensor.is_floating_point():
            g.set_constant(gm, name, tensor.to(torch.float64))
    for node in list(gm.graph.nodes):
        _map_dtypes(node, lambda _, d: torch.float64 if d.is_floating_point else d)
        if _makes_floats_of_nothing(node):
            _widen(node)
        elif "val" in node.meta:
            node.meta["val"] = pytree.tree_map(_to_float64, node.meta["val"])
    gm.recompile()


def _makes_floats_of_nothing(node: Node) -> bool:
    """Does torch choose the dtype itself: a floating result of integers, sizes or literals, with no dtype given?"""
    val = node.meta.get("val")
    if node.op != "call_function" or not isinstance(val, Tensor) or not val.is_floating_point():
        return False
    is_told = any(isinstance(a, torch.dtype) for a in (*node.args, *node.kwargs.values()))
    return not is_told and not any(map(_holds_floats, node.all_input_nodes))


def _holds_floats(node: Node) -> bool:
    return any(isinstance(v, Tensor) and v.is_floating_point() for v in pytree.tree_leaves(node.meta.get("val")))


def _widen(node: Node) -> None:
    """Widen such a result to float64: by its dtype option where there is one, else by a cast behind it."""
    if any(a.name == "dtype" for a in node.target._schema.arguments):  # type: ignore[union-attr]
        node.kwargs = {**node.kwargs, "dtype": torch.float64}
        node.meta["val"] = _to_float64(node.meta["val"])
        return
    with node.graph.inserting_after(node):
        cast = node.graph.call_function(torch.ops.aten._to_copy.default, (node,), {"dtype": torch.float64})
    node.replace_all_uses_with(cast, lambda user: user is not cast)
    cast.meta = node.meta | {"val": _to_float64(node.meta["val"])}


def demote(gm: fx.GraphModule) -> fx.GraphModule:
    """A module in the model's own dtypes, called as the user calls the original; floating constants are parameters."""
    out = g.copy_graph(gm)
    for node in out.graph.nodes:
        _map_dtypes(node, lambda n, d: g.dtype(n) or d if d.is_floating_point else d)
        if node.op == "get_attr":
            _as_parameter(out, node)
        if isinstance(val := node.meta.get("val"), Tensor) and isinstance(d := g.dtype(node), torch.dtype):
            node.meta["val"] = val.to(d)
    _restore_call(out)
    out.recompile()
    return out


def _map_dtypes(node: Node, change: Any) -> None:
    """Apply `change(node, dtype)` to every literal dtype among a node's arguments."""

    def one(value: Any) -> Any:
        return change(node, value) if isinstance(value, torch.dtype) else value

    if any(isinstance(a, torch.dtype) for a in (*node.args, *node.kwargs.values())):
        node.args = tuple(one(a) for a in node.args)
        node.kwargs = {k: one(v) for k, v in node.kwargs.items()}


def _to_float64(value: Any) -> Any:
    return value.to(torch.float64) if isinstance(value, Tensor) and value.is_floating_point() else value


def _as_parameter(out: fx.GraphModule, node: Node) -> None:
    """A floating constant in its own dtype, as a parameter; running statistics have no gradient and stay buffers."""
    name, tensor = str(node.target), g.constant(node)
    if not tensor.is_floating_point() or isinstance(tensor, torch.nn.Parameter):
        return
    tensor = tensor.to(g.dtype(node) or tensor.dtype)
    *path, leaf = name.split(".")
    g.delete_constant(out, name)
    g.set_constant(out, name, tensor)
    if any(user.target is torch.ops.aten.batch_norm.default and node in user.args[3:5] for user in node.users):
        return
    parent = out.get_submodule(".".join(path))
    del parent._buffers[leaf]
    parent.register_parameter(leaf, torch.nn.Parameter(tensor))


def _restore_call(out: fx.GraphModule) -> None:
    """Give the flat graph the user's signature: fixed arguments ignored, nested inputs and outputs restored."""
    signature = g.signature(out)
    inputs = {str(n.target): n for n in out.graph.find_nodes(op="placeholder")}
    first = next(n for n in out.graph.nodes if n.op != "placeholder")
    for k, slot in enumerate(signature.input_slots):
        with out.graph.inserting_before(first):
            node = out.graph.placeholder(slot or f"fixed_{k}")
        if slot is not None:
            old = inputs[slot]
            node.meta = dict(old.meta)
            old.replace_all_uses_with(node)
            out.graph.erase_node(old)
            node.name = slot
    output = next(iter(out.graph.find_nodes(op="output")))
    values = output.args[0]
    output.args = ([s.value if isinstance(s, Fixed) else values[s] for s in signature.output_slots],)
    names = _argument_names(signature)
    out.graph.set_codegen(_PyTreeCodeGen(_PyTreeInfo(names, signature.in_spec, signature.out_spec)))


def _argument_names(signature: Signature) -> list[str]:
    """One name for each argument of the call, nested ones included: positional first, then keywords."""
    args, kwargs = signature.in_spec.child(0), signature.in_spec.child(1)
    slots, names = iter(signature.input_slots), []
    for k in range(args.num_children):
        leaves = [next(slots) for _ in range(args.child(k).num_leaves)]
        is_plain = len(leaves) == 1 and args.child(k).is_leaf()
        names.append(leaves[0] if is_plain and leaves[0] else f"argument_{k}")
    return [*names, *kwargs.context]
