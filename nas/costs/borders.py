"""How a compiled operator meets its neighbours, found by putting probes in front of it and behind it."""

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch.fx import Node

from nascc.compiler.kernels_fx import graph_kernels
from nascc.nas.costs.description import Border
from nascc.passes import CollapseLinear, Edit, run_pass
from nascc.passes import graph as g

aten = torch.ops.aten
KNOWN = (aten.convolution.default, aten.linear.default, aten.batch_norm.default)
LINEAR = (aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor)
"""Elementwise operators that a linear region may go through."""


def is_identity(graph: fx.GraphModule) -> bool:
    """Is the output of a compiled graph its input?"""
    return bool(_output(graph).op == "placeholder")


def start_of(captured: fx.GraphModule, compiled: fx.GraphModule) -> Border:
    """How an operator with one input begins; `captured` is its graph before the passes."""
    users = _first(captured).users
    odd = not all(_is_known(user) for user in users)
    probed, probe = _probed_start(compiled)
    fuses = len(graph_kernels(probed)) <= len(graph_kernels(compiled))
    return Border(_collapses(probed, probe), fuses, odd, _key(captured, _below(_first(captured))))


def end_of(captured: fx.GraphModule, compiled: fx.GraphModule) -> Border:
    """How an operator with one output ends; `captured` is its graph before the passes."""
    odd = not _is_known(_output(captured))
    probed, probe = _probed_end(compiled, _linear)
    fused, _ = _probed_end(compiled, _activation)
    fuses = len(graph_kernels(fused)) <= len(graph_kernels(compiled))
    return Border(_collapses(probed, probe), fuses, odd, _key(captured, _above(_output(captured))))


def is_through(captured: fx.GraphModule, compiled: fx.GraphModule) -> bool:
    """Can a neighbour on one side act on the other: no non-linearity on the way, or all in one kernel?"""
    if len(graph_kernels(compiled)) <= 1:
        return True
    below, above = _below(_first(captured)), _above(_output(captured))
    return bool({n for n in below if not _is_barrier(n)} & {n for n in above if not _is_barrier(n)})


def _first(graph: fx.GraphModule) -> Node:
    (first,) = graph.graph.find_nodes(op="placeholder")
    return first  # type: ignore[no-any-return]


def _output(graph: fx.GraphModule) -> Node:
    (output,) = graph.graph.find_nodes(op="output")
    (value,) = output.args[0]
    return value  # type: ignore[no-any-return]


def _is_known(node: Node) -> bool:
    """Is it of the kinds whose borders the probes tell all about?"""
    if node.op == "output":
        return True
    return g.is_call(node, *KNOWN) or torch.Tag.pointwise in getattr(node.target, "tags", ())


def _is_barrier(node: Node) -> bool:
    """Does every linear region end here?"""
    if node.op in ("placeholder", "get_attr"):
        return False
    return torch.Tag.pointwise in getattr(node.target, "tags", ()) and not g.is_call(node, *LINEAR)


def _below(first: Node) -> list[Node]:
    """All that depends on a value, up to the first non-linear operators, which count in."""
    return _walk(first, lambda node: [user for user in node.users if user.op != "output"])


def _above(last: Node) -> list[Node]:
    """All that a value depends on, up to the last non-linear operators, which count in."""
    return _walk(last, lambda node: [n for n in node.all_input_nodes if n.op != "get_attr"])


def _walk(origin: Node, neighbours: Callable[[Node], list[Node]]) -> list[Node]:
    found, stack = {origin}, [] if _is_barrier(origin) else [origin]
    while stack:
        for node in neighbours(stack.pop()):
            if node not in found:
                found.add(node)
                stack += [] if _is_barrier(node) else [node]
    return [node for node in origin.graph.nodes if node in found]


def _key(graph: fx.GraphModule, nodes: list[Node]) -> str:
    """A name for calls with their shapes and options; numbers do not count."""
    index = {node: str(k) for k, node in enumerate(nodes)}

    def told(value: Any) -> str:
        if isinstance(value, Node):
            return index.get(value, f"[{'x'.join(map(str, g.shape(value)))}]")
        return repr(value)

    rows = []
    for node in nodes:
        arguments = [fx.node.map_arg(a, told) for a in (*node.args, *node.kwargs.items())]
        rows.append(f"{node.target if node.op == 'call_function' else node.op} {arguments} {told_shape(node)}")
    ends = [index[n] for n in nodes if n is _output(graph)]
    return hashlib.sha256("\n".join([*rows, *ends]).encode()).hexdigest()[:24]


def told_shape(node: Node) -> str:
    """The shape of a value, or its kind where it is no tensor."""
    value = g.value(node)
    return "x".join(map(str, value.shape)) if isinstance(value, torch.Tensor) else type(value).__name__


def _probed_start(compiled: fx.GraphModule) -> tuple[fx.GraphModule, Node]:
    """A copy with a linear probe between the input and its readers."""
    graph = g.copy_graph(compiled)
    first = _first(graph)
    readers = list(first.users)
    at = next(n for n in graph.graph.nodes if n in first.users)
    probe = _linear(Edit(at), first)
    for reader in readers:
        reader.replace_input_with(first, probe)
    return graph, probe


def _probed_end(compiled: fx.GraphModule, make: Callable[[Edit, Node], Node]) -> tuple[fx.GraphModule, Node]:
    """A copy with a probe behind the output."""
    graph = g.copy_graph(compiled)
    (output,) = graph.graph.find_nodes(op="output")
    value = _output(graph)
    edit = Edit(value)
    edit.at = output
    probe = make(edit, value)
    output.args = ((probe,),)
    return graph, probe


def _linear(edit: Edit, value: Node) -> Node:
    """A 1x1 convolution, or a linear layer where there are no pixels; it keeps the shape."""
    shape = g.shape(value)
    rank = len(shape) - 2
    channels = int(shape[1 if rank > 0 else -1])
    weight = torch.eye(channels, dtype=torch.float64) + 0.5
    if rank <= 0:
        return edit.call(aten.linear.default, value, edit.constant(weight, "probe", like=value))
    constant = edit.constant(weight.reshape(channels, channels, *[1] * rank), "probe", like=value)
    one, none = [1] * rank, [0] * rank
    return edit.call(aten.convolution.default, value, constant, None, one, none, one, False, none, 1)


def _activation(edit: Edit, value: Node) -> Node:
    return edit.call(aten.sigmoid.default, value)


def _collapses(probed: fx.GraphModule, probe: Node) -> bool:
    """Would the collapser, asked to spare nothing, join the probe with a neighbour?"""
    weight = probe.args[1]
    run_pass(CollapseLinear(mode="always"), probed)
    return probe._erased or probe.args[1] is not weight
