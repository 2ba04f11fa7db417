"""What every operator costs in its place, before any is trained; what budgets mean; which candidates are wanted."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from nascc.nas.costs import Deployment
from nascc.nas.costs.metrics import UNITS
from nascc.nas.errors import BudgetInfeasible
from nascc.nas.hant.costing import Costs, metrics_known
from nascc.nas.hant.goals import LATENCY, Goal, Range, goals_of, metrics_of
from nascc.nas.hant.measured import measured_costs
from nascc.nas.hant.meters import meter_of
from nascc.nas.hant.pieces import Pieces, describe_pieces
from nascc.nas.hant.study import Study, Workbench
from nascc.nas.hant.teach import idle_blocks, told_idle
from nascc.nas.phases.goals import PROFILE
from nascc.nas.run import RunDirectory
from nascc.runtime.profile import load_target

SLACK = 1e-9


@dataclass(frozen=True)
class Profile:
    """Compiles or measures every operator of every block, and the whole teacher."""

    bench: Workbench = field(default_factory=Workbench, compare=False)
    name: str = PROFILE

    def run(self, run: RunDirectory) -> None:
        """Write tables, the reachable ranges, the limits of every goal, and the candidates to train.

        Raises BudgetInfeasible, BadBudget, NotCalibrated, and what measuring raises.
        """
        study = self.bench.study(run)
        tell = lambda done, total: run.progress.update(self.name, done, total)  # noqa: E731
        pieces = describe_pieces(study.space, study.deployment, run.phase_folder(self.name), tell)
        tables = self._tables(run, study, pieces)
        others = [self._elsewhere(study, run, name) for name in study.config.also]
        ranges = {metric: tables[metric].range for metric in metrics_of(study.config)}
        goals = _goals(study, ranges)
        wanted = _wanted(study, [*tables.values(), *others])
        run.finish(self.name, _result(study, tables, goals, wanted))

    def _tables(self, run: RunDirectory, study: Study, pieces: Pieces) -> dict[str, Costs]:
        metrics = metrics_of(study.config)
        estimated = [m for m in metrics if not (study.config.measures and m == LATENCY)]
        found = {m.name: pieces.costs(m) for m in metrics_known(study.deployment, estimated)}
        if study.config.measures:
            found[LATENCY] = measured_costs(study, meter_of(run, study))
        return found

    def _elsewhere(self, study: Study, run: RunDirectory, name: str) -> Costs:
        """Latencies on another target, for which candidates are trained too."""
        place = Deployment(load_target(name), study.config.batch)
        (metric,) = metrics_known(place, (LATENCY,))
        return describe_pieces(study.space, place, run.phase_folder(f"{self.name}/{name}")).costs(metric)


def costs_of(profile: Mapping[str, Any]) -> dict[str, Costs]:
    """The tables of a finished profile, by metric."""
    return {
        metric: Costs(metric, tuple(map(tuple, found["table"])), found["constant"], found["teacher"])
        for metric, found in profile["tables"].items()
    }


def profiled_goals(profile: Mapping[str, Any]) -> tuple[Goal, ...]:
    """The goals of a finished profile."""
    return tuple(Goal(name, dict(limits)) for name, limits in profile["limits"].items())


def _goals(study: Study, ranges: Mapping[str, Range]) -> tuple[Goal, ...]:
    """Raises BudgetInfeasible, also with a reason that is in the weights, BadBudget."""
    try:
        return goals_of(study.config, ranges)
    except BudgetInfeasible as error:
        if idle := idle_blocks(study.teacher):
            raise BudgetInfeasible(f"{error}; {told_idle(idle)}") from error
        raise


def _wanted(study: Study, tables: list[Costs]) -> list[list[int]]:
    """Candidates that cost less than the teacher's block by some metric on some target."""
    return [
        [k for k in range(1, len(row.ops)) if any(_pays(costs, slot, k) for costs in tables)]
        for slot, row in enumerate(study.space.slots)
    ]


def _pays(costs: Costs, slot: int, index: int) -> bool:
    return costs.table[slot][index] <= costs.table[slot][0] * (1 + SLACK)


def _result(study: Study, tables: dict[str, Costs], goals: tuple[Goal, ...], wanted: list[list[int]]) -> dict[str, Any]:
    config = study.config
    ranges = {metric: tables[metric].range for metric in metrics_of(config)}
    reachable = {metric: {"least": r.least, "most": r.teacher, "exact": False} for metric, r in ranges.items()}
    asked = {m: f"ratio {config.ratio}" if m == LATENCY and config.ratio else config.budgets[m] for m in ranges}
    budget = {
        metric: {"asked": text, "at_most": [goal.limits[metric] for goal in goals]} for metric, text in asked.items()
    }
    slots = [{"name": slot.name, "operators": slot.names} for slot in study.space.slots]
    loose = [
        f"{metric}: the teacher keeps {asked[metric]} as it is"
        for goal in goals
        for metric, at_most in goal.limits.items()
        if at_most >= tables[metric].teacher * (1 - SLACK)
    ]
    return {
        "search": {"budget": budget, "reachable": reachable, "slots": slots},
        "limits": {goal.name: dict(goal.limits) for goal in goals},
        "reachable": reachable,
        "units": {metric: UNITS[metric] for metric in tables},
        "tables": {
            metric: {k: v for k, v in asdict(costs).items() if k != "metric"} for metric, costs in tables.items()
        },
        "wanted": wanted,
        "left_out": sum(study.space.choices) - len(study.space.slots) - sum(map(len, wanted)),
        "warnings": list(dict.fromkeys(loose)),
        "measured": config.measures,
        "space": {"size": str(study.space.size()), "slots": len(study.space.slots)},
    }
