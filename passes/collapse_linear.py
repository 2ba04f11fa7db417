"""Collapse regions of linear operators into fewer ones, exactly, and only where it pays."""

from dataclasses import dataclass

from torch import fx

from nascc.passes.base import Decision, GraphPass, Numerics, Reject, Rewrite, handed_in
from nascc.passes.linear.cost import Cost, flops
from nascc.passes.merge_branches import MergeBranches
from nascc.passes.regions.find import Finder
from nascc.passes.regions.plans import RegionPlans, apply_plans, decisions, plan_regions, rejects


@dataclass(frozen=True)
class CollapseLinear(GraphPass[RegionPlans]):
    """fn(...f2(f1(x))) -> conv(x), where every f is linear: a linear MBConv [1x1, depthwise, 1x1, + x] -> one kxk conv.

    Convolutions of any rank, transposed, grouped and depthwise ones, linear layers, batch norms, average pools, pads,
    pixel and channel shuffles, nearest upsampling, flatten, and the residual around them. Where padding stands between
    biased operators the border is corrected (`border_map`, `border_tile`, `ones_channel`, `pad_value`) or they stay
    apart. Each region is cut where the sum of `cost` is least (mode auto; a
    piece with a corrected border that saves less than the share `least_gain` stays); always: as few operators as
    legal; never: nothing. Linear layers collapse only where that takes no more parameters (in always: flattened ones
    only). Illegal neighbours are rejects.
    `keep_residuals` leaves x + f(x) an addition: folded into the kernel as a one it costs 10 to 16 dB under int8.
    Equal up to float rounding, borders included.
    """

    mode: str = "auto"
    keep_residuals: bool = False
    cost: Cost = handed_in(default=flops)
    least_gain: float = handed_in(default=0.0)

    numerics = Numerics.ROUNDING
    runs_after = (MergeBranches,)

    def plan(self, gm: fx.GraphModule) -> RegionPlans:
        return plan_regions(
            Finder.regions, gm, self.cost, self.mode, self.least_gain, keep_residuals=self.keep_residuals
        )

    def apply(self, gm: fx.GraphModule, plan: RegionPlans) -> tuple[Rewrite, ...]:
        return apply_plans(gm, plan)

    def rejects(self, plan: RegionPlans) -> tuple[Reject, ...]:
        return rejects(plan)

    def decisions(self, plan: RegionPlans) -> tuple[Decision, ...]:
        return decisions(plan)
