"""Extract from a network with structured zeros the smaller one that it stands for."""

from dataclasses import dataclass, field

from torch import fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.base import Decision, GraphPass, Numerics, Reject, Rewrite
from nascc.passes.channels.analysis import analyse
from nascc.passes.channels.crop import Crop
from nascc.passes.channels.demand import Demand, demand
from nascc.passes.channels.folded import Folded
from nascc.passes.channels.shrink import Layers, shrink, smaller_layers
from nascc.passes.edit import Edit
from nascc.passes.eliminate_identities import EliminateIdentities
from nascc.passes.evaluate_constants import EvaluateConstants


@dataclass(frozen=True)
class Smaller:
    """What would be done: either constants to evaluate first, or layers that lose channels or taps."""

    changes: tuple[Decision, ...] = ()
    kept: tuple[Reject, ...] = ()
    evaluates: tuple[str, ...] = ()
    demand: Demand | None = field(default=None, repr=False, compare=False)
    layers: Layers = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class ExtractSuperkernel(GraphPass[Smaller]):
    """conv(x, w * decisions) with structured zeros -> conv'(x') on the channels and taps that are left.

    Weights [C_out, C_in/g, *k] that are expressions of constants are evaluated; slices of taps at the edges of a kernel
    that are zero are cropped, with the padding; channels that are constant or that nothing reads go from every layer,
    batch norm, sum, concatenation, split and gate they run through. A constant channel goes into the next bias, or,
    where padding would show it at the border, onto one constant channel that stays; a branch that is constant becomes
    a number per channel. Outputs of the graph keep their shapes. Equal up to rounding for finite inputs.
    """

    numerics = Numerics.ROUNDING
    runs_after = (EvaluateConstants, EliminateIdentities)

    def plan(self, gm: fx.GraphModule) -> Smaller | None:
        if evaluates := _weights_to_evaluate(gm):
            return Smaller(evaluates=tuple(n.name for n in evaluates))
        found = demand(analyse(gm))
        layers = smaller_layers(found)
        changes = tuple(_change(node, *layer) for node, layer in layers.items())
        kept = tuple(r for node, count in found.shown.items() for r in _shown(node, count))
        if not changes and not found.removes and not kept:
            return None
        return Smaller(changes, kept, demand=found, layers=layers)

    def apply(self, gm: fx.GraphModule, plan: Smaller) -> tuple[Rewrite, ...]:
        if plan.demand is None:
            return tuple(r for node in list(gm.graph.nodes) for r in _evaluated(node))
        if not plan.changes and not plan.demand.removes:
            return ()
        return shrink(gm, plan.demand, plan.layers)

    def rejects(self, plan: Smaller) -> tuple[Reject, ...]:
        return plan.kept

    def decisions(self, plan: Smaller) -> tuple[Decision, ...]:
        return plan.changes


def _weights_to_evaluate(gm: fx.GraphModule) -> list[Node]:
    """Calls on constants that can be evaluated now; others follow from them."""
    calls = (n for n in gm.graph.nodes if n.op == "call_function" and n.all_input_nodes)
    return [n for n in calls if not isinstance(EvaluateConstants().match(n), Reject | None)]


def _evaluated(node: Node) -> tuple[Rewrite, ...]:
    if node._erased or node.op != "call_function" or not node.all_input_nodes:
        return ()
    found = EvaluateConstants().match(node)
    if found is None or isinstance(found, Reject):
        return ()
    edit = Edit(node)
    new = EvaluateConstants().rewrite(edit, found)
    edit.replace(node, new)
    return (Rewrite(new.name, g.sources(node)),)


def _change(node: Node, layer: Folded, crop: Crop | None) -> Decision:
    """What a layer loses, in words."""
    weight = layer.weight if crop is None else crop.apply(layer.weight)
    sizes = ("x".join(map(str, w)) for w in (g.shape(node.all_input_nodes[1]), weight.shape))
    return Decision(g.module_path(node), f"weight {' -> '.join(sizes)}")


def _shown(node: Node, count: int) -> tuple[Reject, ...]:
    if not count or arguments(node)["groups"] == 1:
        return ()
    return (Reject(node, f"pads, so {count} constant channels that it reads would show at the border; they stay"),)
