"""The costs by which a compilation may decide what to merge and collapse."""

from collections.abc import Callable, Mapping

from nascc.compiler.errors import UsageError
from nascc.compiler.measured_cost import MeasuredCost
from nascc.passes.linear.cost import Cost, flops

COLLAPSE_COSTS: Mapping[str, Callable[[], Cost]] = {"flops": lambda: flops, "measured": MeasuredCost}
"""`flops` counts operations and gives the same plan everywhere; `measured` times operators on this host."""


def collapse_cost(chosen: str | Cost) -> Cost:
    """The cost of a name of COLLAPSE_COSTS; any callable is taken as it is. Raises UsageError for another name."""
    if callable(chosen):
        return chosen
    if chosen not in COLLAPSE_COSTS:
        raise UsageError(f"collapse_cost must be one of {', '.join(COLLAPSE_COSTS)}, got '{chosen}'")
    return COLLAPSE_COSTS[chosen]()
