"""The number of images that a captured network takes: left open, or set to another one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.edit import Edit, fake_mode, recorded

aten = torch.ops.aten
SHAPED = (aten.reshape.default, aten.expand.default)
"""Calls that are told the whole shape of their result."""
OPEN = -1
TELLING = 5
"""A batch size that rarely stands for anything else, so that it may be looked for at every place of a shape."""


def loosened(gm: fx.GraphModule) -> fx.GraphModule:
    """A copy that runs on any number of images: shapes that name the batch size leave it to torch.

    Constants that were made for the batch, like class tokens, are spread over as many images as the data beside them.
    The graph must have one input, the images first. Recorded values stay those of the batch it was captured with.
    Whether images are independent in truth is for the caller to check, on numbers.
    """
    out = g.copy_graph(gm)
    (entry,) = out.graph.find_nodes(op="placeholder")
    batch = g.value(entry).shape[0]
    data = _data(entry)
    for node in list(out.graph.nodes):
        if g.is_call(node, *SHAPED) and node in data and isinstance(node.args[1], (list, tuple)):
            node.args = (node.args[0], _open(node.args[1], batch), *node.args[2:])
        elif node.op == "call_function" and node in data:
            _spread(node, data, batch)
    out.graph.eliminate_dead_code()
    out.recompile()
    return out


def rebatched(gm: fx.GraphModule, shape: Sequence[int]) -> fx.GraphModule:
    """A copy of a loosened graph for an input of `shape` [N, C, H, W]: every value knows its shape, none is open.

    Sizes that the graph asks its input for become numbers too. Raises what torch raises where a shape does not fit.
    """
    out = g.copy_graph(gm)
    mode = fake_mode(out.graph)
    for node in list(out.graph.nodes):
        if node.op == "placeholder":
            with mode:
                node.meta["val"] = torch.empty(*shape, dtype=g.value(node).dtype)
        elif node.op == "call_function":
            _infer(node)
    out.graph.eliminate_dead_code()
    out.recompile()
    return out


def _infer(node: Node) -> None:
    value = g.infer(node.target, node.args, node.kwargs)  # type: ignore[arg-type]
    node.meta["val"] = value
    if not isinstance(value, (Tensor, tuple, list)):
        for user in list(node.users):
            user.args = fx.node.map_arg(user.args, lambda n: value if n is node else n)
            user.kwargs = fx.node.map_arg(user.kwargs, lambda n: value if n is node else n)
        return
    if g.is_call(node, *SHAPED) and isinstance(value, Tensor):
        node.args = (node.args[0], [int(size) for size in value.shape], *node.args[2:])
    node.meta["dtype"] = node.meta.get("dtype") or recorded(value, node.all_input_nodes)


def _open(shape: Any, batch: int) -> list[Any]:
    """The shape with the first place that tells the batch size left open."""
    sizes = list(shape)
    if OPEN in sizes:
        return sizes
    places = range(len(sizes)) if batch >= TELLING else range(min(1, len(sizes)))
    for place in places:
        if isinstance(sizes[place], int) and sizes[place] % batch == 0 and sizes[place]:
            return [*sizes[:place], OPEN, *sizes[place + 1 :]]
    return sizes


def _spread(node: Node, data: set[Node], batch: int) -> None:
    """Give the constants of a call that were made for the batch the number of images of its data."""
    inputs = [n for n in node.all_input_nodes if _images(n) == batch]
    beside = next((n for n in inputs if n in data), None)
    for constant in inputs if beside is not None else ():
        if constant not in data and _is_bound(node, constant, batch):
            edit = Edit(node)
            size = edit.call(aten.sym_size.int, beside, 0, like=constant)
            rest = [OPEN] * (g.value(constant).ndim - 1)
            wide = edit.call(aten.expand.default, _single(edit, constant), [size, *rest], like=constant)
            node.replace_input_with(constant, wide)


def _is_bound(user: Node, constant: Node, batch: int) -> bool:
    """Is a constant as long as the batch because of it? Where the batch says little, only where it must be as long."""
    if batch >= TELLING:
        return constant.op == "call_function"
    return g.is_call(user, aten.cat.default) and bool((*user.args, 0)[1] != 0)


def _single(edit: Edit, constant: Node) -> Node:
    """What a constant holds for the first image: the same as for every other."""
    if g.is_call(constant, aten.expand.default) and _images(before := constant.args[0]) == 1:
        return before  # type: ignore[return-value]
    return constant if _images(constant) == 1 else edit.call(aten.slice.Tensor, constant, 0, 0, 1, like=constant)


def _images(value: object) -> int | None:
    """How many images a tensor is for, if its first size says that."""
    found = value.meta.get("val") if isinstance(value, Node) else None
    return int(found.shape[0]) if isinstance(found, Tensor) and found.ndim else None


def _data(entry: Node) -> set[Node]:
    """Everything that depends on the input, the input included."""
    found = {entry}
    for node in entry.graph.nodes:
        if not found.isdisjoint(node.all_input_nodes):
            found.add(node)
    return found
