"""The results a run is asked for: one a budget, and the limits that each has to keep."""

from dataclasses import dataclass
from pathlib import Path

from nascc.nas.core import Arch, Cost, Limit
from nascc.nas.costs import Budget, cost_from, parse_budgets
from nascc.nas.costs.described import DescribedSpace
from nascc.nas.measured.campaign import TABLE
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.problem import Problem
from nascc.nas.run import RunDirectory

PROFILE, BOARD = "profile", "board"
LATENCY = "latency"


@dataclass(frozen=True)
class Goal:
    """One result: budgets that hold together. `name` is empty where there is one result only."""

    name: str
    budgets: tuple[Budget, ...]

    def phase(self, kind: str) -> str:
        """The name of a phase, or of a folder, of this goal: 'search', or 'search-5ms'."""
        return f"{kind}-{self.name}" if self.name else kind


def goals_of(config: RunConfig) -> tuple[Goal, ...]:
    """What the budgets of a configuration ask for. Raises BadBudget."""
    results = parse_budgets(config.budgets)
    if len(results) == 1:
        return (Goal("", results[0]),)
    several = next(metric for metric, text in config.budgets.items() if "," in text)
    names = [text.strip() for text in config.budgets[several].split(",")]
    return tuple(Goal(name.replace(" ", ""), budgets) for name, budgets in zip(names, results, strict=True))


def described_space(run: RunDirectory, problem: Problem) -> DescribedSpace:
    """The space described at the deployment; nothing is compiled again once the profile is there."""
    return problem.described(run.phase_folder(PROFILE))


def costs_of(config: RunConfig, described: DescribedSpace) -> dict[str, Cost]:
    """The costs that budgets refer to, by metric; latency is fitted to what was measured on a board, where that is."""
    measured = None if described.folder is None else described.folder / TABLE
    on_board = {LATENCY: str(measured)} if config.device is not None and measured is not None else {}
    found: dict[str, Cost] = {}
    for metric in config.budgets:
        table, networks = (paths.get(metric) for paths in (config.tables, on_board | config.networks))
        source = cost_from(
            described,
            metric,
            table=None if table is None else Path(table),
            networks=None if networks is None else Path(networks),
            predictor=config.predictor,
        )
        found[metric] = source.cost
    return found


def limits_of(run: RunDirectory, problem: Problem, goal: Goal | str) -> tuple[Limit, ...]:
    """The limits of a goal, by its name, as the profile resolved them."""
    name = goal if isinstance(goal, str) else goal.name
    costs = costs_of(problem.config, described_space(run, problem))
    amounts: dict[str, float] = run.result(PROFILE)["limits"][name]
    return tuple(Limit(costs[metric], amount) for metric, amount in amounts.items())


def found_arch(run: RunDirectory, goal: Goal) -> Arch:
    """The architecture of a goal: what its search found, or what took its place on the board."""
    if run.finished(BOARD):
        return tuple(run.result(BOARD)["goals"][goal.name]["arch"])
    return tuple(run.result(goal.phase("search"))["arch"])
