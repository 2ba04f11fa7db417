"""Networks that papers print as tables of what is left of each layer, built by the rules of bypass connections."""

from collections.abc import Sequence

import torch
from torch import fx

from nascc.nas.elastic.layout import Layout
from nascc.nas.elastic.published_network import HEAD, PublishedNetwork
from nascc.nas.elastic.published_table import Published, PublishedRow, read_published, table8
from nascc.nas.elastic.slice import Sliced
from nascc.nas.elastic.space import Chosen
from nascc.nas.elastic.thresholds import Thresholds
from nascc.nas.regions.teacher import captured_for
from nascc.passes import graph as g

__all__ = ["Published", "PublishedRow", "other_macs", "published_graph", "read_published", "table8"]

POOLS = (torch.ops.aten.adaptive_avg_pool2d.default, torch.ops.aten.mean.dim)
JOINS = (torch.ops.aten.mul.Tensor, torch.ops.aten.add.Tensor)


def published_graph(table: Published, image: Sequence[int] = (3, 224, 224)) -> fx.GraphModule:
    """The small network in the IR, for images (C, H, W), with random weights.

    An initial network is built around the table, wide enough for all that is left, and then sliced:
    Z = max(min(C, T), M), sums as unions of channels (NetAdaptV2, Sec. 3.1). Raises SearchError, which names the row,
    where the rows do not fit each other or the images.
    """
    torch.manual_seed(0)
    network = PublishedNetwork(table, image).eval()
    graph = captured_for(network, image)
    layers = Layout.of(graph).layers
    given = {layer.name: network.left[layer.name] for layer in layers if layer.name in network.left}
    limits = {la.name: given[la.name].limit(la.filters) for la in layers if la.name in given}
    layout = Layout.of(graph, Thresholds(of=limits))
    filters = tuple(given[la.name].filters if la.name in given else la.filters for la in layout.layers)
    kernels = tuple(la.kernels[0] if la.kernels else 0 for la in layout.layers)
    small = Sliced(graph, layout, Chosen(filters, kernels)).graph()
    return _without_head(small) if network.has_head else small


def _without_head(graph: fx.GraphModule) -> fx.GraphModule:
    """The network without the layer that stood in for consumers of its last map."""
    (output,) = graph.graph.find_nodes(op="output")
    (head,) = output.all_input_nodes
    assert g.label(head) == HEAD, "the head makes the output"
    output.replace_input_with(head, head.all_input_nodes[0])
    graph.graph.erase_node(head)
    for node in reversed(graph.graph.nodes):
        if node.op == "get_attr" and not node.users:
            graph.graph.erase_node(node)
    for name in g.unused_constants(graph):
        g.delete_constant(graph, name)
    graph.recompile()
    return graph


def other_macs(graph: fx.GraphModule) -> int:
    """Multiplications and additions beside convolutions and linear layers, as some papers count them too.

    Pooling and scaling of squeeze-and-excitation, residual sums, global pooling: one for each number they read or make.
    """
    calls = graph.graph.nodes
    pools = [node.all_input_nodes[0] for node in calls if node.target in POOLS]
    joins = [node for node in calls if node.target in JOINS]
    return sum(g.value(node).numel() for node in (*pools, *joins))
