"""A search on boards: networks are measured there, and what is found must keep its latency there; repaired once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nascc.nas.core import Arch, Limit
from nascc.nas.costs.described import DescribedSpace
from nascc.nas.errors import BudgetInfeasible, SearchError
from nascc.nas.measured.campaign import Campaign
from nascc.nas.measured.journal import Measurements
from nascc.nas.measured.stitch import Stitcher
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.goals import BOARD, LATENCY, PROFILE, Goal, described_space, goals_of, limits_of
from nascc.nas.phases.problem import Problem
from nascc.nas.run import RunDirectory
from nascc.nas.search.preference import Additive
from nascc.nas.search.shares import Shares
from nascc.nas.search.swaps import order, repairs
from nascc.runtime.latency import usual_precision
from nascc.runtime.remote.fleet import Fleet, Job, Measured

MEASURED = "measured"
MARGIN = 0.01
"""What a repaired network stays below its limit, so that noise does not carry it across."""
TIMES = 3
"""How often a finalist is measured; the median counts."""


def fleet_of(problem: Problem) -> Fleet:
    """The boards of a configuration. Raises BadAddress, SearchError where there are none."""
    access = problem.config.device
    if access is None:
        raise SearchError("a device must be configured to measure on")
    return Fleet.of(access, problem.target, usual_precision(problem.target))


def profile_board(problem: Problem, described: DescribedSpace, folder: Path, told: Callable[[int, int], None]) -> Path:
    """Measure random networks of the space on the boards; what a killed run has measured stays.

    Returns the table that costs are fitted to. Raises what measuring raises.
    """
    config = problem.config
    place = f"{described.deployment.identity}, {described.deployment.shape(config.image)}"
    campaign = Campaign(folder, problem.deployed, config.device_networks, config.seed, place)
    campaign.run(Stitcher(described, config.seed), fleet_of(problem), told)
    return campaign.write_table()


class Scale:
    """Milliseconds as the profile counts them: on a board whose anchor takes what the first one's took."""

    def __init__(self, problem: Problem, folder: Path) -> None:
        self.fleet = fleet_of(problem)
        self.measurements = Measurements(folder)
        self.anchor_ms = self.measurements.anchor_ms

    def ms(self, emit: Callable[[], bytes]) -> float:
        """The median of several measurements of one network. Raises what measuring raises."""
        found: list[Measured] = []
        self.fleet.measure([Job(k, emit) for k in range(TIMES)], found.append)
        anchor = self.anchor_ms or found[0].anchor_ms
        return float(np.median([f.ratio for f in found])) * anchor


@dataclass(frozen=True)
class OnBoard:
    """After every search: the network it found is measured, and repaired once where it breaks its latency.

    Costs are corrected by what was measured over what was predicted; the best candidate that keeps the limits then
    takes its place, or the nearest network that does.
    """

    name: str = BOARD

    def run(self, run: RunDirectory) -> None:
        """Write the architecture of every goal. Raises BudgetInfeasible (exit 6), and what measuring raises."""
        problem = Problem(run.config_as(RunConfig))
        described = described_space(run, problem)
        finalists = _Finalists(run, problem, described)
        goals = {goal.name: finalists.settle(goal) for goal in goals_of(problem.config)}
        run.finish(self.name, {"goals": goals})


class _Finalists:
    def __init__(self, run: RunDirectory, problem: Problem, described: DescribedSpace) -> None:
        self.directory, self.problem, self.space = run, problem, described.space
        self.stitcher = Stitcher(described, problem.config.seed)
        self.scale = Scale(problem, run.phase_folder(PROFILE))

    def settle(self, goal: Goal) -> dict[str, Any]:
        """The architecture of a goal that keeps its limits, measured."""
        result = self.directory.result(goal.phase("search"))
        arch, limits = tuple(result["arch"]), limits_of(self.directory, self.problem, goal)
        bound = next((limit for limit in limits if limit.cost.metric == LATENCY), None)
        first = self._measured(arch, bound)
        if bound is None or first["measured_ms"] <= bound.at_most:
            return first | {"arch": list(arch), "repaired": False}
        factor = first["measured_ms"] / first["predicted_ms"]
        corrected = tuple(
            replace(limit, at_most=limit.at_most / factor * (1 - MARGIN)) if limit is bound else limit
            for limit in limits
        )
        other = self._repaired(arch, result, corrected)
        second = self._measured(other, bound)
        if second["measured_ms"] > bound.at_most:
            raise BudgetInfeasible(
                f"the network must take at most {bound.at_most:.4g} ms on the board, but the one found takes "
                f"{first['measured_ms']:.4g} ms and the repaired one {second['measured_ms']:.4g} ms; measure more "
                "networks with --set device_networks=100, or raise the budget"
            )
        return second | {"arch": list(other), "repaired": True, "first": first, "factor": factor}

    def _measured(self, arch: Arch, bound: Limit | None) -> dict[str, Any]:
        ms = self.scale.ms(lambda: self.stitcher.emit(arch))
        predicted = None if bound is None else bound.cost(arch)
        self.directory.journal.write(BOARD, 0, measured=ms, **({} if predicted is None else {"predicted": predicted}))
        return {"name": self.space.name_of(arch), "measured_ms": ms, "predicted_ms": predicted}

    def _repaired(self, arch: Arch, result: dict[str, Any], limits: Sequence[Limit]) -> Arch:
        """The best candidate of the search within the corrected limits, else the nearest network within them."""
        names = [candidate["arch"] for candidate in result.get("search", {}).get("candidates", ())]
        for name in names:
            if all(limit.holds(candidate := self.space.parse(name)) for limit in limits):
                return candidate
        choices = self.space.choices
        rows = np.zeros((len(choices), max(choices)))
        rows[np.arange(len(arch)), list(arch)] = 1.0
        return sorted(repairs(arch, Additive(rows), Shares(choices, limits)), key=order)[0].arch


@dataclass(frozen=True)
class MeasureDeployed:
    """At the end: what is deployed is measured on the board, as it is."""

    name: str = MEASURED

    def run(self, run: RunDirectory) -> None:
        """Write the latency of every goal's file. Raises BudgetInfeasible (exit 6) where it breaks its limit."""
        problem = Problem(run.config_as(RunConfig))
        scale, found, broken = Scale(problem, run.phase_folder(PROFILE)), dict[str, Any](), list[str]()
        for name, limits in run.result(PROFILE)["limits"].items():
            file = run.path / (f"deploy-{name}" if name else "deploy") / "model.onnx"
            ms, at_most = scale.ms(file.read_bytes), limits.get(LATENCY)
            found[name] = {"measured_ms": ms, "limit_ms": at_most}
            if at_most is not None and ms > at_most:
                broken.append(f"{file} takes {ms:.4g} of {at_most:.4g} ms")
        run.save_json(f"{MEASURED}/latency.json", found)
        if broken:
            raise BudgetInfeasible(f"what is deployed must keep its latency on the board, but {'; '.join(broken)}")
        run.finish(self.name, {"goals": found})
