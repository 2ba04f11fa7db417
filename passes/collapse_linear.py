"""Collapse regions of linear operators into fewer ones, exactly, and only where it pays."""

from dataclasses import dataclass

from torch import fx

from nascc.passes.base import Decision, GraphPass, Numerics, Rewrite, handed_in
from nascc.passes.linear.cost import Cost, flops
from nascc.passes.merge_branches import MergeBranches
from nascc.passes.regions.find import Finder
from nascc.passes.regions.plans import RegionPlan, apply_plans, decisions, plan_regions


@dataclass(frozen=True)
class CollapseLinear(GraphPass[tuple[RegionPlan, ...]]):
    """fn(...f2(f1(x))) -> conv(x), where every f is linear: a linear MBConv [1x1, depthwise, 1x1, + x] -> one kxk conv.

    Convolutions of any rank, transposed, grouped and depthwise ones, linear layers, batch norms, average pools, pads,
    pixel shuffles, nearest upsampling, and the residual around them. Where padding stands between biased operators the
    border is corrected (`border_map`, `border_tile`, `ones_channel`, `pad_value`) or they stay apart. Each region is
    cut where the sum of `cost` is least (mode auto); always: as few operators as legal; never: nothing.
    Equal up to float rounding, borders included.
    """

    mode: str = "auto"
    cost: Cost = handed_in(default=flops)

    numerics = Numerics.ROUNDING
    runs_after = (MergeBranches,)

    def plan(self, gm: fx.GraphModule) -> tuple[RegionPlan, ...] | None:
        return plan_regions(Finder(gm).regions(), self.cost, self.mode)

    def apply(self, gm: fx.GraphModule, plan: tuple[RegionPlan, ...]) -> tuple[Rewrite, ...]:
        return apply_plans(gm, plan)

    def decisions(self, plan: tuple[RegionPlan, ...]) -> tuple[Decision, ...]:
        return decisions(plan)
