"""The number of images that a captured network takes: left open, or set to another one."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.edit import fake_mode, recorded

aten = torch.ops.aten
SHAPED = (aten.reshape.default, aten.expand.default)
"""Calls that are told the whole shape of their result."""
OPEN = -1
TELLING = 5
"""A batch size that rarely stands for anything else, so that it may be looked for at every place of a shape."""


def loosened(gm: fx.GraphModule) -> fx.GraphModule:
    """A copy that runs on any number of images: shapes that name the batch size leave it to torch.

    The graph must have one input, the images first. Recorded values stay those of the batch it was captured with.
    Whether images are independent in truth is for the caller to check, on numbers.
    """
    out = g.copy_graph(gm)
    (entry,) = out.graph.find_nodes(op="placeholder")
    batch = g.value(entry).shape[0]
    for node in out.graph.nodes:
        if g.is_call(node, *SHAPED) and _depends(node, entry) and isinstance(node.args[1], (list, tuple)):
            node.args = (node.args[0], _open(node.args[1], batch), *node.args[2:])
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


def _depends(node: Node, entry: Node) -> bool:
    seen, stack = {node}, [node]
    while stack:
        for before in stack.pop().all_input_nodes:
            if before is entry:
                return True
            if before not in seen:
                seen.add(before)
                stack.append(before)
    return False
