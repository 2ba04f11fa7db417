"""The first phase: what may shrink, what it costs, and what budgets mean."""

from dataclasses import dataclass, field
from typing import Any

from torch import fx

from nascc.nas.core.randomness import rng
from nascc.nas.elastic import ElasticSpace
from nascc.nas.errors import SearchError
from nascc.nas.netadapt.budget_steps import require_reach
from nascc.nas.netadapt.config import NetAdaptConfig
from nascc.nas.netadapt.costing import CallableCost, ElasticCost, RememberedCost
from nascc.nas.netadapt.goals import Goal, Range, goals_of, text_of
from nascc.nas.netadapt.rivals import uniform
from nascc.nas.netadapt.study import Workbench
from nascc.nas.phases.goals import PROFILE
from nascc.nas.run import RunDirectory
from nascc.nas.tasks import Task

PROBES = 12
"""Networks of a kind that are looked at where nothing is known of a metric."""


@dataclass(frozen=True)
class Profile:
    """Compiles the initial network and the smallest, or measures them."""

    bench: Workbench = field(default_factory=Workbench, compare=False)
    name: str = PROFILE

    def run(self, run: RunDirectory) -> None:
        """Write the range of the cost, the limits and the layers.

        Raises BudgetInfeasible for limits below the range or beyond the steps of the descent, BadBudget, NotCalibrated,
        SearchError where nothing can shrink.
        """
        study = self.bench.study(run)
        config, space, cost = study.config, study.space, study.cost(run)
        require_outputs(space.graph, study.task)
        known = range_of(space, cost, config.seed)
        goals = goals_of(config, known)
        descent = config.descent
        for goal in goals:
            require_reach(known.most, goal.at_most, descent.step, descent.decay, config.resource)
        run.finish(self.name, _result(config, space, cost, known, goals))


def range_of(space: ElasticSpace, cost: ElasticCost, seed: int) -> Range:
    """The smallest network costs least, but for a metric of the user's own: there it is the cheapest of some."""
    looked_at = [space.smallest]
    if isinstance(cost, CallableCost):
        draw, series = rng(seed, "range"), list(uniform(space))
        looked_at += series[:: max(1, len(series) // PROBES)] + [space.random(draw) for _ in range(PROBES)]
    most = cost(space.largest)
    return Range(min(most, *map(cost, looked_at)), most)


def limits(run: RunDirectory) -> tuple[Goal, ...]:
    """The goals of a finished profile."""
    found: dict[str, float] = run.result(PROFILE)["at_most"]
    return tuple(Goal(name, amount) for name, amount in found.items())


def recalled(run: RunDirectory, cost: ElasticCost) -> ElasticCost:
    """A cost that knows what the profile found, where it would be another number now."""
    if isinstance(cost, RememberedCost):
        cost.recall(run.result(PROFILE)["measured"])
    return cost


def require_outputs(graph: fx.GraphModule, task: Task) -> None:
    """Raise SearchError unless the network answers what the task asks."""
    (output,) = graph.graph.find_nodes(op="output")
    shape = list(output.args[0][0].meta["val"].shape)
    if task.kind == "classification" and shape[1:] != [len(task.classes)]:
        raise SearchError(
            f"the network gives {shape[1:]} numbers an image and the data have {len(task.classes)} classes: "
            "they must be the same, in the same order"
        )
    if task.kind != "classification" and shape[1:] != [1, *task.input_shape[1:]]:
        raise SearchError(
            f"the network must give a depth for each pixel, {[1, *task.input_shape[1:]]}, but gives {shape[1:]}"
        )


def _result(
    config: NetAdaptConfig, space: ElasticSpace, cost: ElasticCost, known: Range, goals: tuple[Goal, ...]
) -> dict[str, Any]:
    metric = config.resource
    reachable = {metric: {"least": known.least, "most": known.most, "exact": not isinstance(cost, RememberedCost)}}
    asked = f"ratio {config.ratio}" if config.ratio is not None else text_of(config)
    budget = {metric: {"asked": asked, "at_most": [goal.at_most for goal in goals]}}
    layers = space.layout.layers
    loose = [f"{metric}: the initial network keeps {asked} as it is" for g in goals if g.at_most >= known.most]
    return {
        "search": {
            "budget": budget,
            "reachable": reachable,
            "slots": [{"name": slot.name, "operators": slot.names} for slot in space.slots],
        },
        "limits": {goal.name: {metric: goal.at_most} for goal in goals},
        "at_most": {goal.name: goal.at_most for goal in goals},
        "reachable": reachable,
        "units": {metric: cost.unit},
        "measured": cost.known if isinstance(cost, RememberedCost) else [],
        "fixed": {layer.name: layer.fixed for layer in layers if layer.fixed},
        "thresholds": {layer.name: layer.threshold for layer in layers if not layer.fixed},
        "warnings": list(dict.fromkeys([*loose, *_pointless(space)])),
        "space": {"size": str(space.size()), "slots": len(space.slots)},
    }


def _pointless(space: ElasticSpace) -> list[str]:
    """Thresholds that say less than they seem to."""
    found = []
    for layer in (space.layout.layers[k] for k in space.layout.shrinkable):
        t = layer.threshold
        if t is not None and t >= layer.filters and layer.inputs >= layer.filters and not layer.depthwise:
            found.append(
                f"T of '{layer.name}' is {t}, no fewer than its {layer.filters} filters: it never gets narrower, "
                "filters only turn into bypassed channels"
            )
    return found
