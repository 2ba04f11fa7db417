"""A part of a graph as a graph of its own."""

from typing import Any

from torch import fx, nn
from torch.fx import Node
from torch.utils import _pytree as pytree

from nascc.passes import graph as g
from nascc.passes.blocks.flow import Flow, Span
from nascc.passes.signature import Signature

INPUT, OUTPUT = "x", "y"


def extract(flow: Flow, span: Span) -> fx.GraphModule:
    """A closed span as a graph in nascc's IR from the tensor `x` that it reads to its last value; constants are shared.

    Names of constants and the provenance of calls are those of the whole.
    """
    begin, end = flow.begin(span), flow.end(span)
    part, graph = fx.GraphModule(nn.Module(), fx.Graph()), fx.Graph()
    entry = graph.placeholder(INPUT)
    entry.meta = {key: begin.meta[key] for key in ("val", "dtype") if key in begin.meta}
    made: dict[Node, Node] = {begin: entry}

    def copied(node: Node) -> Node:
        if node not in made:
            for before in node.all_input_nodes:
                copied(before)
            made[node] = graph.node_copy(node, made.__getitem__)
            made[node].meta = dict(node.meta)
        return made[node]

    for node in flow.calls(span):
        copied(node)
    graph.output((made[end],))
    for node in graph.find_nodes(op="get_attr"):
        g.set_constant(part, str(node.target), g.get_constant(flow.gm, str(node.target)))
    part.graph = graph
    part.meta["signature"] = _signature()
    return part


def _signature() -> Signature:
    call: Any = ((0,), {})
    return Signature((INPUT,), (OUTPUT,), (INPUT,), (0,), pytree.tree_structure(call), pytree.tree_structure(0))
