"""Extract from a network with structured zeros the smaller one that it stands for."""

from dataclasses import dataclass, field

from torch import fx
from torch.fx import Node

from nascc.passes.arguments import arguments
from nascc.passes.base import Decision, GraphPass, Numerics, Reject, Rewrite
from nascc.passes.channels.analysis import analyse
from nascc.passes.channels.demand import Demand, demand
from nascc.passes.channels.shrink import Layers, described, shrink, smaller_layers
from nascc.passes.eliminate_identities import EliminateIdentities
from nascc.passes.evaluate_constants import EvaluateConstants, evaluate, to_evaluate


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
        if evaluates := to_evaluate(gm):
            return Smaller(evaluates=tuple(n.name for n in evaluates))
        found = demand(analyse(gm))
        layers = smaller_layers(found)
        changes = described(layers)
        kept = tuple(r for node, count in found.shown.items() for r in _shown(node, count))
        if not changes and not found.removes and not kept:
            return None
        return Smaller(changes, kept, demand=found, layers=layers)

    def apply(self, gm: fx.GraphModule, plan: Smaller) -> tuple[Rewrite, ...]:
        if plan.demand is None:
            return evaluate(gm)
        if not plan.changes and not plan.demand.removes:
            return ()
        return shrink(gm, plan.demand, plan.layers)

    def rejects(self, plan: Smaller) -> tuple[Reject, ...]:
        return plan.kept

    def decisions(self, plan: Smaller) -> tuple[Decision, ...]:
        return plan.changes


def _shown(node: Node, count: int) -> tuple[Reject, ...]:
    if not count or arguments(node)["groups"] == 1:
        return ()
    return (Reject(node, f"pads, so {count} constant channels that it reads would show at the border; they stay"),)
