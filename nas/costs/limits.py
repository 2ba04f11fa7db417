"""From budgets to limits: what a space can reach, and what is refused."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nascc.nas.core.cost import Cost, Limit
from nascc.nas.core.space import Space
from nascc.nas.costs.budgets import Budget
from nascc.nas.costs.joint import least_share
from nascc.nas.costs.pairwise_cost import PairwiseCost
from nascc.nas.costs.reach import Reach, reach_of
from nascc.nas.costs.units import written, written_up
from nascc.nas.errors import BadBudget, BudgetInfeasible, RangeTooNarrow

NARROWEST = 1.5
"""Largest over least cost of a space, below which there is nothing to choose."""
SLACK = 1e-9
Wider = Callable[[], str | None]
"""Names a shape at which the range opens up; None where it found none."""


@dataclass(frozen=True)
class Resolved:
    """Limits that can be kept, together; reachable ranges by metric; warnings for budgets that bind nothing."""

    limits: tuple[Limit, ...]
    reach: Mapping[str, Reach]
    warnings: tuple[str, ...] = ()


def resolve(budgets: Sequence[Budget], costs: Mapping[str, Cost], space: Space, wider: Wider | None = None) -> Resolved:
    """The limits of one result.

    A budget above the largest cost gives a warning and no limit. Raises BudgetInfeasible for one below the least,
    and for several that no network keeps together; RangeTooNarrow where a space has nothing to choose, with what
    `wider` finds.
    """
    limits, warnings = list[Limit](), list[str]()
    ranges: dict[str, Reach] = {}
    for budget in budgets:
        cost = _cost(budget, costs)
        reach = ranges[budget.metric] = reach_of(cost, space)
        at_most = budget.at_most(reach)
        if at_most < reach.least * (1 - SLACK):
            raise BudgetInfeasible(_infeasible(budget, reach))
        if at_most >= reach.most * (1 - SLACK):
            warnings.append(_unbound(budget, reach))
            continue
        if reach.ratio < NARROWEST:
            raise RangeTooNarrow(_narrow(reach, wider))
        limits.append(Limit(cost, max(at_most, reach.least)))
    _require_together(limits, ranges)
    return Resolved(tuple(limits), ranges, tuple(warnings))


def _cost(budget: Budget, costs: Mapping[str, Cost]) -> Cost:
    if budget.metric not in costs:
        raise BadBudget(f"a budget must be of a cost that is known, {', '.join(costs)}, got {budget.metric}")
    return costs[budget.metric]


def _require_together(limits: Sequence[Limit], ranges: Mapping[str, Reach]) -> None:
    """Raise BudgetInfeasible where forms tell that no network keeps all limits."""
    forms = [limit.cost.form for limit in limits if isinstance(limit.cost, PairwiseCost)]
    if len(limits) < 2 or len(forms) < len(limits) or not all(ranges[limit.cost.metric].exact for limit in limits):
        return
    arch, share = least_share(forms, [limit.at_most for limit in limits])
    if share > 1 + SLACK:
        wanted = " and ".join(f"{limit.cost.metric} <= {written(limit.at_most, limit.cost.metric)}" for limit in limits)
        nearest = ", ".join(f"{written(limit.cost(arch), limit.cost.metric)} {limit.cost.metric}" for limit in limits)
        raise BudgetInfeasible(
            f"some network must keep {wanted} together, but none does: the nearest has {nearest}; raise one of them"
        )


def _infeasible(budget: Budget, reach: Reach) -> str:
    return (
        f"a budget of {budget} must be within what the space can reach, {reach} of {reach.metric}; "
        f"ask for at least {written_up(reach.least, reach.metric)}, or for a share of the range such as 50%"
    )


def _unbound(budget: Budget, reach: Reach) -> str:
    return (
        f"the whole space is within the budget of {budget}: it reaches {reach} of {reach.metric}; "
        f"{reach.metric} does not bind the search"
    )


def _narrow(reach: Reach, wider: Wider | None) -> str:
    found = wider() if wider is not None and reach.metric in ("latency", "energy") else None
    advice = found or "choose a space with more to choose from"
    return (
        f"the dearest network must cost at least {NARROWEST} times the cheapest for a search by {reach.metric}, "
        f"but the space reaches {reach} ({reach.ratio:.2f} times); {advice}"
    )
