"""Merge parallel linear branches into one convolution, where that is exact and pays."""

from dataclasses import dataclass

from torch import fx

from nascc.passes.base import Decision, GraphPass, Numerics, Reject, Rewrite, handed_in
from nascc.passes.fold_batch_norm import FoldBatchNorm
from nascc.passes.linear.cost import Cost, flops
from nascc.passes.regions.find import Finder
from nascc.passes.regions.plans import RegionPlans, apply_plans, decisions, plan_regions, rejects


@dataclass(frozen=True)
class MergeBranches(GraphPass[RegionPlans]):
    """sum or concat of f1(x), f2(x), ... -> conv(x), where every f is linear: RepVGG, ACB, DBB, MobileOne, Inception.

    A branch may be the identity (a Dirac kernel), a batch norm, an average pool, or a chain; it is collapsed before it
    merges. Kernels of different size, dilation and padding are put on a common grid; strides must be equal. Merged
    when `cost` says so (mode auto), always, or never; with `keep_residuals`, x + f(x) stays an addition. Equal up to
    float rounding, borders included.
    """

    mode: str = "auto"
    keep_residuals: bool = False
    cost: Cost = handed_in(default=flops)

    numerics = Numerics.ROUNDING
    runs_after = (FoldBatchNorm,)

    def plan(self, gm: fx.GraphModule) -> RegionPlans:
        return plan_regions(Finder.joins, gm, self.cost, self.mode, keep_residuals=self.keep_residuals)

    def apply(self, gm: fx.GraphModule, plan: RegionPlans) -> tuple[Rewrite, ...]:
        return apply_plans(gm, plan)

    def rejects(self, plan: RegionPlans) -> tuple[Reject, ...]:
        return rejects(plan)

    def decisions(self, plan: RegionPlans) -> tuple[Decision, ...]:
        return decisions(plan)
