"""Plans for the regions of a graph, their application, and what is told about them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from torch import fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import Decision, Reject, Rewrite
from nascc.passes.edit import absorb
from nascc.passes.errors import PipelineError
from nascc.passes.linear.cost import Cost
from nascc.passes.linear.operator import Dear, Foreign
from nascc.passes.linear.plan import Join, Mode, Plan, Planned, Row, Segment
from nascc.passes.linear.planner import plan
from nascc.passes.regions.find import Finder, Found
from nascc.passes.regions.write import PlanWriter


@dataclass(frozen=True, eq=False)
class RegionPlan:
    """One region of the graph and the cheapest legal way to compute it."""

    found: Found
    plan: Plan

    def label(self, name: str) -> str:
        """What users know a leaf as: its module path."""
        return g.label(self.found.reads[name].node) if name in self.found.reads else name


@dataclass(frozen=True, eq=False)
class RegionPlans:
    """The plans of all regions of a graph, and the calls that can be in none."""

    regions: tuple[RegionPlan, ...]
    refusals: tuple[Reject, ...] = ()


def plan_regions(
    find: Callable[[Finder], Iterable[Found]],
    gm: fx.GraphModule,
    cost: Cost,
    mode: str,
    least_gain: float = 0.0,
    *,
    keep_residuals: bool = False,
) -> RegionPlans:
    """Plan every region that is found; none where nobody wants any. Raises PipelineError for an unknown mode."""
    if mode not in (known := [m.value for m in Mode]):
        raise PipelineError(f"mode must be one of {', '.join(known)}, found '{mode}'")
    if mode == Mode.NEVER.value:
        return RegionPlans(())
    finder = Finder(gm, keep_residuals)
    regions = tuple(RegionPlan(found, plan(found.region, cost, Mode(mode), least_gain)) for found in find(finder))
    return RegionPlans(regions, tuple(Reject(node, why) for node, why in finder.refusals.items()))


def apply_plans(gm: fx.GraphModule, plans: RegionPlans) -> tuple[Rewrite, ...]:
    """Write every plan that changes anything into the graph."""
    rewrites: list[Rewrite] = []
    for p in plans.regions:
        if p.plan.changes:
            writer = PlanWriter(p.found)
            _replace(p.found.sink, writer.write(p.plan))
            rewrites += [Rewrite(node.name, g.sources(node)) for node in writer.collapsed]
    return tuple(rewrites)


def _replace(sink: Node, new: Node) -> None:
    for user in list(sink.users):
        if user is not new:
            user.replace_input_with(sink, new)
    absorb(new, g.sources(sink))
    g.erase_dead(sink)


def decisions(plans: RegionPlans) -> tuple[Decision, ...]:
    """For every region: its segments with costs before and after, the fixes used, and why parts stay apart."""
    return tuple(Decision(g.label(p.found.sink), "; ".join(_told(p, p.plan.root))) for p in plans.regions)


def rejects(plans: RegionPlans) -> tuple[Reject, ...]:
    """Where neighbours stay apart because one operator would not be exact, each at the later of them."""
    illegal = [reject for p in plans.regions for reject in _illegal(p, p.plan.root)]
    return tuple({reject.node: reject for reject in (*illegal, *plans.refusals)}.values())


def _illegal(p: RegionPlan, node: Planned) -> Iterator[Reject]:
    if isinstance(node, Segment):
        return
    whys = node.why if isinstance(node, Row) else (node.why,)
    for why, part in zip(whys, node.parts[1:], strict=False):
        call = _first_call(p, part) if isinstance(node, Row) else p.found.sink
        if call is not None and why is not None and not isinstance(why, (Dear, Foreign)):
            yield Reject(call, why.reason)
    for part in node.parts:
        yield from _illegal(p, part)


def _first_call(p: RegionPlan, node: Planned) -> Node | None:
    """The first call of the original graph that a part of a plan stands for."""
    names = _names(node)
    return next((p.found.reads[name].node for name in names if name in p.found.reads), None)


def _names(node: Planned) -> tuple[str, ...]:
    return node.members if isinstance(node, Segment) else tuple(n for part in node.parts for n in _names(part))


def _told(p: RegionPlan, node: Planned) -> Iterator[str]:
    if isinstance(node, Segment):
        yield _segment(p, node)
        return
    for k, part in enumerate(node.parts):
        if isinstance(node, Row) and k and len(node.why) >= k:
            yield f"apart ({node.why[k - 1].reason})"
        yield from _told(p, part)
    if isinstance(node, Join) and node.why is not None:
        yield f"{node.kind} stays ({node.why.reason})"


def _segment(p: RegionPlan, segment: Segment) -> str:
    names = " + ".join(dict.fromkeys(p.label(name) for name in segment.members))
    if segment.form is None:
        return f"{names} kept, cost {segment.cost_before:.4g}"
    return f"{names} -> 1 ({segment.fix}), cost {segment.cost_before:.4g} -> {segment.cost_after:.4g}"
