"""The budgets of a coordinate descent, iteration by iteration: absolute steps that decay (NetAdaptV2, Sec. 3.3)."""

from collections.abc import Iterator

from nascc.nas.errors import BudgetInfeasible

SLACK = 1e-9


def reach_of(step: float, decay: float) -> float:
    """The share of the initial cost that steps of `step`, `decay` times smaller each, can take away in all."""
    return min(1.0, step / (1 - decay)) if decay < 1 else 1.0


def require_reach(start: float, target: float, step: float, decay: float, what: str = "cost") -> None:
    """Raise BudgetInfeasible where the steps add up to less than what has to go: the guard of the sheet."""
    if target < start * (1 - reach_of(step, decay)) * (1 - SLACK):
        least, wanted = start * (1 - reach_of(step, decay)), (1 - target / start) * (1 - decay)
        raise BudgetInfeasible(
            f"steps of {step:g} of the initial {what}, each {decay:g} of the last, take at most "
            f"{reach_of(step, decay):.0%} away, from {start:.6g} to {least:.6g}, but {target:.6g} was asked for; "
            f"set descent.step to at least {wanted:.3g}, or descent.decay closer to 1"
        )


def budgets(start: float, target: float, step: float, decay: float) -> Iterator[float]:
    """R_1, R_2, ...: R_i = R_(i-1) - step * start * decay^(i-1), the last one being the target itself."""
    at, size = start, step * start
    while at > target:
        at -= size
        size *= decay
        close = at - target < SLACK * start
        yield target if close or at < target else at
        if close:
            return
