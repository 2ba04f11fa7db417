"""The first phase: what every operator costs where it will run, and what budgets mean there."""

from dataclasses import dataclass
from typing import Any

from nascc.nas.core.randomness import rng
from nascc.nas.costs import Resolved, resolve, wider_shape
from nascc.nas.costs.described import DescribedSpace
from nascc.nas.costs.metrics import metric_of
from nascc.nas.costs.random_weights import randomise
from nascc.nas.phases.board import profile_board
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.goals import PROFILE, costs_of, goals_of
from nascc.nas.phases.problem import Problem
from nascc.nas.run import RunDirectory

MEASURING = "measure"
CHECKED = 3
"""Random networks that are compiled whole, to show how far the sum of descriptions is from them."""


@dataclass(frozen=True)
class Profile:
    """Describes the space, resolves the budgets, and compares descriptions with compiled networks."""

    name: str = PROFILE

    def run(self, run: RunDirectory) -> None:
        """Write the descriptions, the reachable ranges, and the limits of every goal.

        Raises BudgetInfeasible, RangeTooNarrow, BadBudget, BadMeasurements, NotCalibrated.
        """
        problem = Problem(run.config_as(RunConfig))
        if "latency" in problem.config.budgets and "latency" not in problem.config.tables:
            metric_of("latency", problem.deployment)  # says what is missing before anything is compiled
        folder = run.phase_folder(self.name)
        described = problem.described(folder, lambda done, total, what: run.progress.update(self.name, done, total))
        if problem.config.device is not None:
            profile_board(problem, described, folder, lambda done, total: run.progress.update(MEASURING, done, total))
        result = profile(problem.config, described)
        for index, (guess, truth) in enumerate(zip(*result["prediction"].values(), strict=True)):
            run.journal.write(self.name, index, predicted=guess, truth=truth)
        run.finish(self.name, result)


def profile(config: RunConfig, described: DescribedSpace) -> dict[str, Any]:
    """The result of the phase, as plain data."""
    costs = costs_of(config, described)
    found = {
        goal.name: resolve(goal.budgets, costs, described.space, lambda: wider_shape(described))
        for goal in goals_of(config)
    }
    return {
        "search": {
            "budget": _budget(config, found),
            "reachable": _reachable(found),
            "slots": [{"name": slot.name, "operators": slot.names} for slot in described.space.slots],
        },
        "limits": {name: {limit.cost.metric: limit.at_most for limit in r.limits} for name, r in found.items()},
        "reachable": _reachable(found),
        "units": {metric: cost.unit for metric, cost in costs.items()},
        "warnings": list(dict.fromkeys(warning for r in found.values() for warning in r.warnings)),
        "space": {"size": str(described.space.size()), "slots": len(described.space.slots)},
        "prediction": _prediction(described),
    }


def _budget(config: RunConfig, found: dict[str, Resolved]) -> dict[str, Any]:
    """What was asked for, and what it means here: one upper limit a goal, None where nothing breaks it."""
    held = [{limit.cost.metric: limit.at_most for limit in resolved.limits} for resolved in found.values()]
    return {
        metric: {"asked": text, "at_most": [h.get(metric) for h in held]} for metric, text in config.budgets.items()
    }


def _reachable(found: dict[str, Resolved]) -> dict[str, Any]:
    first = next(iter(found.values()))
    return {
        metric: {"least": reach.least, "most": reach.most, "exact": reach.exact}
        for metric, reach in first.reach.items()
    }


def _prediction(described: DescribedSpace) -> dict[str, list[float]]:
    """Latency, or MACs where the target has no model: from descriptions, and of the same networks compiled whole."""
    metric = "latency" if described.deployment.target.latency is not None else "macs"
    cost, space, draw = described.cost(metric), described.space, rng(0, "prediction")
    predicted, truth = [], []
    for _ in range(CHECKED):
        arch = space.random(draw)
        predicted.append(cost(arch))
        network = randomise(space.build(arch))
        truth.append(cost.of_graph(described.deployment.compiled(network, space.input_shape)))
    return {"predicted": predicted, "compiled": truth}
