"""The costs by which a compilation may decide what to merge and collapse."""

from collections.abc import Callable, Mapping

from nascc.compiler.costs import target_cost
from nascc.compiler.errors import UsageError
from nascc.compiler.measured_cost import MeasuredCost
from nascc.passes.linear.cost import Cost, flops
from nascc.runtime.profile import Target


def cost_of_target(target: Target, power_mode: str | None) -> Cost:
    """The target's latency model; operations where it has none."""
    return flops if target.latency is None else target_cost(target, power_mode)


COLLAPSE_COSTS: Mapping[str, Callable[[Target, str | None], Cost]] = {
    "target": cost_of_target,
    "flops": lambda target, power_mode: flops,
    "measured": lambda target, power_mode: MeasuredCost(),
}
"""`target` estimates milliseconds on the target; `flops` counts operations; `measured` times operators on this host."""


LEAST_GAIN = 0.1
"""Where onnxruntime is estimated a piece with a corrected border must save a tenth: the correction breaks the blocked
layout, which is not in the model, and costs what small savings bring. A bare operator breaks none."""


def least_gain(chosen: str | Cost, target: Target) -> float:
    """The share of its cost that a piece must save to be replaced where its border needs a correction."""
    estimated = chosen == "target" and target.latency is not None
    return LEAST_GAIN if estimated and target.software.runtime == "onnxruntime" else 0.0


def collapse_cost(chosen: str | Cost, target: Target, power_mode: str | None = None) -> Cost:
    """The cost of a name of COLLAPSE_COSTS; any callable is taken as it is. Raises UsageError for another name."""
    if callable(chosen):
        return chosen
    if chosen not in COLLAPSE_COSTS:
        raise UsageError(f"collapse_cost must be one of {', '.join(COLLAPSE_COSTS)}, got '{chosen}'")
    return COLLAPSE_COSTS[chosen](target, power_mode)
