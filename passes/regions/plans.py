"""Plans for the regions of a graph, their application, and what is told about them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import Decision, Rewrite
from nascc.passes.edit import absorb
from nascc.passes.errors import PipelineError
from nascc.passes.linear.cost import Cost
from nascc.passes.linear.description import LinearOp
from nascc.passes.linear.plan import Join, Mode, Plan, Planned, Row, Segment
from nascc.passes.linear.planner import plan
from nascc.passes.regions.find import Found
from nascc.passes.regions.write import PlanWriter


@dataclass(frozen=True, eq=False)
class RegionPlan:
    """One region of the graph and the cheapest legal way to compute it."""

    found: Found
    plan: Plan

    def label(self, name: str) -> str:
        """What users know a leaf as: its module path."""
        return g.label(self.found.nodes[name]) if name in self.found.nodes else name


def plan_regions(found: Iterable[Found], cost: Cost, mode: str) -> tuple[RegionPlan, ...] | None:
    """Plan every region; None when there is none, or nobody wants any. Raises PipelineError for an unknown mode."""
    if mode not in (known := [m.value for m in Mode]):
        raise PipelineError(f"mode must be one of {', '.join(known)}, found '{mode}'")
    if mode == Mode.NEVER.value:
        return None
    return tuple(RegionPlan(f, plan(f.region, cost, Mode(mode))) for f in found) or None


def apply_plans(gm: fx.GraphModule, plans: tuple[RegionPlan, ...]) -> tuple[Rewrite, ...]:
    """Write every plan that changes anything into the graph."""
    rewrites: list[Rewrite] = []
    for p in plans:
        if any(map(_gains, p.plan.segments)):
            writer = PlanWriter(p.found)
            _replace(p.found.sink, writer.write(p.plan))
            rewrites += [Rewrite(node.name, g.sources(node)) for node in writer.collapsed]
    return tuple(rewrites)


def _gains(segment: Segment) -> bool:
    """Does a segment become fewer calls, or other calls that are cheaper? Else it would be rewritten for ever."""
    before, after = _calls(segment.before), _calls(segment.after)
    if segment.form is None or after == before:
        return False
    return after.total() < before.total() or segment.cost_after < segment.cost_before


def _calls(ops: tuple[LinearOp, ...]) -> Counter[str]:
    """The calls that operators are written as.

    A convolution that pads unevenly has a pad in front; one number a channel, on vectors, is a product and a sum.
    """
    calls: Counter[str] = Counter()
    for op in ops:
        if not op.size and op.kind == "linear" and op.groups == op.c_in == op.c_out > 1:
            calls.update(["per_channel", *["subtract"] * op.bias])
            continue
        calls.update([op.kind])
        if op.kind == "conv" and any(before != after for before, after in op.padding):
            calls.update(["pad"])
    return calls


def _replace(sink: Node, new: Node) -> None:
    for user in list(sink.users):
        if user is not new:
            user.replace_input_with(sink, new)
    absorb(new, g.sources(sink))
    g.erase_dead(sink)


def decisions(plans: tuple[RegionPlan, ...]) -> tuple[Decision, ...]:
    """For every region: its segments with costs before and after, the fixes used, and why parts stay apart."""
    return tuple(Decision(g.label(p.found.sink), "; ".join(_told(p, p.plan.root))) for p in plans)


def _told(p: RegionPlan, node: Planned) -> Iterator[str]:
    if isinstance(node, Segment):
        yield _segment(p, node)
        return
    for k, part in enumerate(node.parts):
        if isinstance(node, Row) and k and len(node.why) >= k and node.why[k - 1]:
            yield f"apart ({node.why[k - 1]})"
        yield from _told(p, part)
    if isinstance(node, Join) and node.why:
        yield f"{node.kind} stays ({node.why})"


def _segment(p: RegionPlan, segment: Segment) -> str:
    names = " + ".join(dict.fromkeys(p.label(name) for name in segment.members))
    if segment.form is None:
        return f"{names} kept, cost {segment.cost_before:.4g}"
    return f"{names} -> 1 ({segment.fix}), cost {segment.cost_before:.4g} -> {segment.cost_after:.4g}"
