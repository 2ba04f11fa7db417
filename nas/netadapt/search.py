"""The phase that shrinks the network: one coordinate descent to the smallest budget answers for all of them."""

import math
from dataclasses import dataclass, field
from typing import Any

from nascc.nas.core import Arch
from nascc.nas.elastic import ElasticNet
from nascc.nas.errors import LimitBroken
from nascc.nas.netadapt.costing import ElasticCost, RememberedCost
from nascc.nas.netadapt.descent import Adaptation, Point, Progress, plain, restored, within
from nascc.nas.netadapt.goals import Goal
from nascc.nas.netadapt.profile import limits, recalled
from nascc.nas.netadapt.ranking import Ranker
from nascc.nas.netadapt.study import Study, Workbench
from nascc.nas.phases.rehearsal import Timed
from nascc.nas.run import RunDirectory

SEARCH = "search"


@dataclass(frozen=True)
class Search:
    """Multi-layer coordinate descent with the weights of the supernet."""

    bench: Workbench = field(default_factory=Workbench, compare=False)
    name: str = SEARCH

    def run(self, run: RunDirectory) -> None:
        """Write the trajectory, and of every goal the first network on it that keeps the limit."""
        loop = Loop(run, self.bench.study(run))
        steps = run.steps(self.name, loop.total, save=loop.state, load=loop.load, every=loop.adaptation.samples)
        for step in steps:
            loop.step(step)
            if not loop.progress.scored:
                point = loop.progress.trajectory[-1]
                limit = f"{loop.cost.metric}_limit"
                steps.log(**{loop.cost.metric: point.cost, limit: point.budget, "score": point.score})
        run.finish(self.name, loop.result())

    def rehearse(self, run: RunDirectory) -> dict[str, Timed]:
        """A step is one sample, judged by a supernet that was not trained."""
        study = self.bench.study(run)
        loop = Loop(run, study, study.fresh())
        return {self.name: Timed(loop.step, loop.total)}


class Loop:
    """One descent, sample by sample."""

    def __init__(self, run: RunDirectory, study: Study, net: ElasticNet | None = None) -> None:
        self.study, self.goals = study, limits(run)
        self.cost = recalled(run, study.cost(run))
        self.ranker = Ranker(net or study.supernet(), study.task, study.config.ranking)
        self.progress = Progress()
        self.adaptation = adaptation(study, self.cost, self.ranker, min(goal.at_most for goal in self.goals))
        self.total = self.adaptation.total

    def step(self, step: int) -> None:
        """Draw and judge one sample."""
        self.adaptation.step(step, self.progress)

    def state(self) -> dict[str, Any]:
        known = self.cost.known if isinstance(self.cost, RememberedCost) else []
        return {"progress": plain(self.progress), "known": known}

    def load(self, state: dict[str, Any]) -> None:
        self.progress = restored(state["progress"])
        if isinstance(self.cost, RememberedCost):
            self.cost.recall(state["known"])

    def result(self) -> dict[str, Any]:
        """The trajectory, and the network of every goal."""
        space, metric = self.study.space, self.cost.metric
        found = {goal.name: self._found(goal) for goal in self.goals}
        points = self.points
        return {
            "search": {
                "candidates": [
                    {"arch": space.name_of(p.arch), "score": p.score, "cost": {metric: p.cost}} for p in points
                ]
            },
            "trajectory": [list(p.arch) for p in points],
            "goals": {
                name: {"arch": list(p.arch), "cost": {metric: p.cost}, "score": p.score} for name, p in found.items()
            },
            "evaluations": 1 + self.total,
        }

    @property
    def points(self) -> list[Point]:
        """Where the descent began, and the network of every iteration."""
        largest = self.study.space.largest
        start = Point(math.inf, largest, self.cost(largest), self.adaptation.start_score)
        return [start, *self.progress.trajectory]

    def _found(self, goal: Goal) -> Point:
        point = within(self.points, goal.at_most)
        if point is None:
            raise LimitBroken(f"a descent must end within {goal.at_most:.6g}, and did not")
        return point


def adaptation(study: Study, cost: ElasticCost, ranker: Ranker, target: float) -> Adaptation:
    """The descent of a run from the initial network to a cost."""
    space = study.space
    groups: dict[int, list[int]] = {}
    for slot, choice in enumerate(space.selected):
        groups.setdefault(choice.layer, []).append(slot)
    start: Arch = space.largest
    return Adaptation(
        space=space,
        groups=[tuple(slots) for slots in groups.values()],
        cost=cost,
        score=ranker.score,
        settings=study.config.descent.settings,
        seed=study.config.seed,
        start=start,
        start_score=ranker.score(start),
        target=target,
    )
