"""Make of a network whose channels are masked, and bypassed, the smaller one that it stands for."""

from dataclasses import dataclass, field

from torch import fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import Decision, GraphPass, Numerics, Reject, Rewrite
from nascc.passes.channels.demand import demand
from nascc.passes.channels.trial import Trial, cost, may_copy
from nascc.passes.eliminate_identities import EliminateIdentities
from nascc.passes.evaluate_constants import EvaluateConstants, evaluate, to_evaluate
from nascc.passes.merge_duplicates import MergeDuplicates


@dataclass(frozen=True)
class Bypassed:
    """What would be done: either constants to evaluate first, or values to put together from what they copy."""

    values: tuple[str, ...] = ()
    changes: tuple[Decision, ...] = ()
    refused: tuple[Reject, ...] = ()
    evaluates: tuple[str, ...] = ()
    kept: tuple[Node, ...] = field(default=(), repr=False, compare=False)


@dataclass(frozen=True)
class PruneChannelBypass(GraphPass[Bypassed]):
    """m * conv(x) + (1 - m) * x -> cat(conv'(x'), x[:, M:]), with only the filters and channels that something reads.

    A value all of whose channels are zero or copies of others (behind constant masks, selections, sums with zeros,
    slices, padding, concatenations) is put together anew from slices of what it copies: one slice where that is one
    piece, nothing at all where it is a whole value. Then filters [C_out, ...], columns, norms and gates that nothing
    reads go, as in ExtractSuperkernel. Done where layers shrink or calls vanish; outputs of the graph keep their
    shapes. Equal up to rounding for finite inputs.
    """

    numerics = Numerics.ROUNDING
    runs_after = (EvaluateConstants, EliminateIdentities, MergeDuplicates)

    def plan(self, gm: fx.GraphModule) -> Bypassed | None:
        if not may_copy(gm):
            return None
        if evaluates := to_evaluate(gm, ranges=True):
            return Bypassed(evaluates=tuple(n.name for n in evaluates))
        return _planned(gm) if Trial(gm).read else None

    def apply(self, gm: fx.GraphModule, plan: Bypassed) -> tuple[Rewrite, ...]:
        if plan.evaluates:
            return evaluate(gm, ranges=True)
        return Trial(gm, plan.kept).run() if plan.values else ()

    def rejects(self, plan: Bypassed) -> tuple[Reject, ...]:
        return plan.refused

    def decisions(self, plan: Bypassed) -> tuple[Decision, ...]:
        return plan.changes


def _planned(gm: fx.GraphModule) -> Bypassed:
    """Tries on copies of the graph, each time without the values from which nothing was gained the time before."""
    kept: list[Node] = []
    refused: list[Reject] = []
    while True:
        twin = g.copy_graph(gm)
        mine = dict(zip(twin.graph.nodes, gm.graph.nodes, strict=True))
        trial = Trial(twin, {n for n, original in mine.items() if original in kept})
        if not trial.read:
            return Bypassed(refused=tuple(refused), kept=tuple(kept))
        before = demand(trial.analysis)
        trial.run()
        if not (idle := trial.without_gain(before)):
            if _is_cheaper(cost(twin), cost(gm)):
                names = tuple(mine[n].name for n in trial.read)
                return Bypassed(names, trial.changes, tuple(refused), kept=tuple(kept))
            idle = trial.read
        kept += [mine[n] for n in idle]
        refused += [_refusal(mine[n], trial, n) for n in idle if trial.values[n].computes]


def _is_cheaper(after: tuple[int, int], before: tuple[int, int]) -> bool:
    return after[0] <= before[0] and (after[0] < before[0] or after[1] < before[1])


def _refusal(node: Node, trial: Trial, twin: Node) -> Reject:
    pieces = len(trial.values[twin].pieces)
    reason = f"is made of {pieces} pieces of other values, but taking it apart lets no layer shrink and no call vanish"
    return Reject(node, reason)
