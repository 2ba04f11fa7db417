"""A graph in the IR as a module that trains: batch norms are modules, and channels come first or last as torch likes."""

from torch import fx

from nascc.nas.regions.norms import with_norms
from nascc.passes import demote
from nascc.passes import graph as g


def trainable(graph: fx.GraphModule) -> fx.GraphModule:
    """A module with copies of the graph's numbers in the network's own dtypes, in eval mode."""
    module = demote(graph)
    for name, tensor in list(g.constants(module)):
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        held = owner._parameters if leaf in owner._parameters else owner._buffers
        own = tensor.detach().clone()
        held[leaf] = type(tensor)(own) if leaf in owner._parameters else own
    return with_norms(module).eval()
