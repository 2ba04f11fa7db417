"""A graph in the IR as a module that trains: its batch norms are modules."""

import torch
from torch import fx, nn

from nascc.nas.regions.norms import with_norms
from nascc.passes import demote
from nascc.passes import graph as g


def trainable(graph: fx.GraphModule, dtype: torch.dtype | None = None) -> fx.GraphModule:
    """A module with copies of the graph's numbers in the network's own dtypes, or another one, in eval mode."""
    module = demote(graph if dtype is None else _recorded(graph, dtype))
    for name, tensor in list(g.constants(module)):
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        own = tensor.detach().clone()
        if leaf in owner._parameters:
            owner._parameters[leaf] = nn.Parameter(own)
        else:
            owner._buffers[leaf] = own
    return with_norms(module).eval()


def _recorded(graph: fx.GraphModule, dtype: torch.dtype) -> fx.GraphModule:
    """A copy that is deployed in another floating dtype."""
    out = g.copy_graph(graph)
    for node in out.graph.nodes:
        if isinstance(own := g.dtype(node), torch.dtype) and own.is_floating_point:
            node.meta["dtype"] = dtype
    return out
