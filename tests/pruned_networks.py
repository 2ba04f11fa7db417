"""Networks after PruneChannelBypass: their outputs checked, their layers and what moves channels counted."""

import torch
from torch import Tensor, fx, nn

from kit import ir, operators, outputs, relative_error
from nascc.passes import PruneChannelBypass, check_graph, run_pass
from nascc.passes import graph as g

aten = torch.ops.aten
X = torch.randn(2, 4, 9, 9, generator=torch.Generator().manual_seed(0))
LAYERS = (aten.convolution.default, aten.linear.default)
MOVES = ("cat.default", "slice.Tensor", "constant_pad_nd.default")


def shapes(gm: fx.GraphModule) -> list[tuple[int, ...]]:
    """Shapes of the weights of all layers, sorted."""
    return sorted(tuple(map(int, g.shape(n.args[1]))) for n in gm.graph.nodes if g.is_call(n, *LAYERS))


def moves(gm: fx.GraphModule) -> int:
    """How many calls only move channels."""
    count = operators(gm)
    names = ("aten.cat.default", "aten.slice.Tensor", "aten.constant_pad_nd.default", "aten.index_select.default")
    return sum(count[name] for name in names)


def pruned(model: nn.Module, x: Tensor = X, dynamic: object = None) -> fx.GraphModule:
    """The graph after the pass, with the same outputs for the batch and for one of another size where that is open."""
    gm = ir(model, x, dynamic=dynamic)
    before = g.copy_graph(gm)
    run_pass(PruneChannelBypass(), gm)
    check_graph(gm)
    for batch in (torch.cat([x, -3 * x, x]),) if dynamic else (x,):
        assert relative_error(outputs(before, [batch]), outputs(gm, [batch])) <= 1e-10
    assert not run_pass(PruneChannelBypass(), gm).rewrites
    return gm


def count(gm: fx.GraphModule, *names: str) -> tuple[int, ...]:
    """How often operators are called."""
    found = operators(gm)
    return tuple(found[f"aten.{name}"] for name in names)
