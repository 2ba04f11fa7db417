"""The last layer of a classifier, which knows the classes."""

from typing import Any

import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.driver import tidy
from nascc.passes.edit import Edit
from nascc.passes.errors import PassError

aten = torch.ops.aten
FORMS = (aten.reshape.default, aten.flatten.using_ints, aten.squeeze.dims, aten.permute.default)
LAYERS = (aten.linear.default, aten.convolution.default)


def head_of(gm: fx.GraphModule) -> Node:
    """The linear layer, or 1x1 convolution, whose result is the output, but for its shape. Raises PassError."""
    (output,) = gm.graph.find_nodes(op="output")
    node: Any = output.args[0][0]
    while g.is_call(node, *FORMS):
        node = node.args[0]
    if not g.is_call(node, *LAYERS) or not all(map(g.is_constant, node.args[1:2])):
        raise PassError(
            f"a network must end in a linear layer for its head to be replaced, found '{g.label(node)}' "
            f"({node.target if node.op == 'call_function' else node.op}); give it the new head in its own code"
        )
    found: Node = node
    return found


def new_head(gm: fx.GraphModule, classes: int, seed: int = 0) -> fx.GraphModule:
    """A copy that tells other classes: its last layer has fresh weights [classes, features], small and seeded.

    Raises PassError where the network does not end in a linear layer.
    """
    out = g.copy_graph(gm)
    head = head_of(out)
    old = g.constant(head.args[1])  # type: ignore[arg-type]
    random = torch.Generator().manual_seed(seed)
    weight = torch.randn((classes, *old.shape[1:]), generator=random, dtype=torch.float32).to(old.dtype) * 0.01
    edit = Edit(head)
    made = _layer(edit, head, weight, torch.zeros(classes, dtype=old.dtype))
    _behind(head, made)
    tidy(out)
    return out


def _layer(edit: Edit, head: Node, weight: Tensor, bias: Tensor) -> Node:
    name = str(head.args[1].target)  # type: ignore[union-attr]
    stem = name.removesuffix("weight").rstrip("._")
    constants = [
        edit.constant(weight, f"{stem}.weight", like=head.args[1]),  # type: ignore[arg-type]
        edit.constant(bias, f"{stem}.bias", like=head.args[1]),  # type: ignore[arg-type]
    ]
    return edit.call(head.target, head.args[0], *constants, *head.args[3:], **head.kwargs)  # type: ignore[arg-type]


def _behind(old: Node, new: Node) -> None:
    """Make the calls between the old layer and the output again, for shapes that have changed."""
    (user,) = old.users
    if user.op == "output":
        user.replace_input_with(old, new)
        return
    edit = Edit(user)
    args = list(user.args[1:])
    if g.is_call(user, aten.reshape.default):
        classes, before = int(g.shape(new)[1]), int(g.shape(old)[1])
        args[0] = [classes if size == before else size for size in args[0]]  # type: ignore[union-attr]
    made = edit.call(user.target, new, *args, **user.kwargs)  # type: ignore[arg-type]
    _behind(user, made)
