"""The phase that picks a student: an integer program, many solutions, all of them judged with trained candidates."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from scipy.stats import kendalltau

from nascc.nas.core import Arch
from nascc.nas.core.randomness import rng
from nascc.nas.costs.metrics import metric_of
from nascc.nas.errors import BudgetInfeasible, LimitBroken
from nascc.nas.hant.costing import Costs, compiled_costs
from nascc.nas.hant.goals import LATENCY, Goal
from nascc.nas.hant.judging import Judged, chosen_images, judge
from nascc.nas.hant.measured import Meter, measured_student
from nascc.nas.hant.meters import meter_of
from nascc.nas.hant.profile import SLACK, costs_of, profiled_goals
from nascc.nas.hant.score import SCORE, SPLIT, scores_of
from nascc.nas.hant.students import student_graph
from nascc.nas.hant.study import Study, Workbench
from nascc.nas.phases.board import MARGIN
from nascc.nas.phases.goals import BOARD, PROFILE
from nascc.nas.program import Found, Program, Solver, diverse, uniform_under
from nascc.nas.program.diverse import FEW
from nascc.nas.run import RunDirectory

TOLERANCE = 1.05
"""How much of a budget the compiled network may use."""
PICKED = 1.02
"""How much of it a student may use that is picked: measuring it again must not break the budget."""
FINALISTS = 3
"""How many students are compiled and measured, at most, before tables are corrected once more, or it ends."""
REPAIRS = 4
"""How often tables are corrected; on a device, where measuring is dear, once."""


@dataclass(frozen=True)
class Search:
    """One goal. `name` is that of the phase."""

    goal: str
    name: str
    bench: Workbench = field(default_factory=Workbench, compare=False)

    def run(self, run: RunDirectory) -> None:
        """Read scores and tables; write the student that is best of all judged and within budget when compiled.

        Raises BudgetInfeasible, LimitBroken, and what measuring raises.
        """
        picking = Picking(run, self.goal, self.bench.study(run))
        found = picking.solutions(picking.costs)
        judged = [(one, picking.judged(one.arch)) for one in self._told(run, found)]
        for step, (one, real) in enumerate(judged, 1):
            run.journal.write(self.name, step, proxy=one.objective, real=real.loss)
        randoms = [(arch, picking.judged(arch)) for arch in picking.randoms(len(judged))]
        for step, (arch, real) in enumerate(randoms, 1):
            run.journal.write(self.name, step, part="random", proxy=picking.objective(arch), real=real.loss)
        best, cost, repaired = picking.within(judged)
        run.finish(self.name, self._result(picking, best, cost, repaired, judged, randoms))

    def _told(self, run: RunDirectory, found: Sequence[Found]) -> Iterator[Found]:
        for done, one in enumerate(found):
            run.progress.update(self.name, done, len(found))
            yield one
        run.progress.update(self.name, len(found), len(found))

    def _result(
        self,
        picking: "Picking",
        best: Arch,
        cost: dict[str, float],
        repaired: bool,
        judged: Sequence[tuple[Found, Judged]],
        randoms: Sequence[tuple[Arch, Judged]],
    ) -> dict[str, Any]:
        name_of = picking.study.space.name_of
        ranked = sorted(judged, key=lambda pair: (pair[1].loss, pair[0].arch))
        candidates = [
            {
                "arch": name_of(one.arch),
                "accuracy": real.accuracy,
                "loss": real.loss,
                "objective": one.objective,
                "cost": picking.told(one.arch),
            }
            for one, real in ranked
        ]
        return {
            "search": {"candidates": candidates},
            "arch": list(best),
            "name": name_of(best),
            "cost": cost,
            "told": picking.told(best),
            "repaired": repaired,
            "measured": picking.measured,
            "judged": asdict(picking.judged(best)),
            "taus": {
                "solutions": _tau([(one.objective, real.loss) for one, real in judged]),
                "random": _tau([(picking.objective(arch), real.loss) for arch, real in randoms]),
            },
            "random": [
                {"arch": list(arch), "objective": picking.objective(arch), **asdict(real)} for arch, real in randoms
            ],
        }


class Picking:
    """Everything that picking a student for one goal rests on."""

    def __init__(self, run: RunDirectory, goal: str, study: Study) -> None:
        self.study, self.config, profile = study, study.config, run.result(PROFILE)
        self.goal: Goal = next(g for g in profiled_goals(profile) if g.name == goal)
        tables = costs_of(profile)
        self.costs = {metric: tables[metric] for metric in self.goal.limits}
        self.scores = scores_of(run.result(SCORE)["rows"])
        self.measured: list[dict[str, Any]] = []
        """What was measured on a device, in order."""
        self._run, self._judged = run, dict[Arch, Judged]()

    @cached_property
    def kept(self) -> tuple[tuple[int, ...], ...]:
        """The operators of each block that take part: the teacher's own, and those neither dearer nor much worse."""
        most = self.config.scoring.max_drop
        return tuple(
            tuple(k for k in sorted(row) if k == 0 or (self._pays(slot, k) and row[k].accuracy <= most))
            for slot, row in enumerate(self.scores)
        )

    def _pays(self, slot: int, index: int) -> bool:
        rows = [costs.table[slot] for costs in self.costs.values()]
        return any(row[index] <= row[0] * (1 + SLACK) for row in rows)

    def program(self, costs: dict[str, Costs]) -> Program:
        """The integer program over the operators that take part."""
        scores = tuple(tuple(row[k].loss for k in kept) for row, kept in zip(self.scores, self.kept, strict=True))
        budgets = []
        for metric, own in costs.items():
            table = tuple(tuple(row[k] for k in kept) for row, kept in zip(own.table, self.kept, strict=True))
            limit = self.goal.limits[metric]
            budgets.append(Costs(metric, table, own.constant, own.teacher).budget(limit))
        return Program(scores, tuple(budgets))

    def solutions(self, costs: dict[str, Costs]) -> tuple[Found, ...]:
        """Different solutions, as indices of operators. Raises BudgetInfeasible."""
        settings, program = self.config.solving, self.program(costs)
        then = None if program.offsets[-1] <= FEW else Solver(settings.gap, settings.nodes)
        try:
            found = diverse(program, settings.candidates, settings.overlap, then=then)
        except BudgetInfeasible as error:
            raise BudgetInfeasible(
                f"{error}; {self._dropped()} candidates are left out because they lose more than "
                f"{100 * self.config.scoring.max_drop:g} points of accuracy: raise scoring.max_drop, train them longer "
                "(pretraining.epochs), or raise the budget"
            ) from error
        return tuple(Found(self.whole(one.arch), one.objective) for one in found)

    def _dropped(self) -> int:
        return sum(map(len, self.scores)) - sum(map(len, self.kept))

    def whole(self, arch: Arch) -> Arch:
        """From indices among the kept operators to indices among all."""
        return tuple(kept[index] for kept, index in zip(self.kept, arch, strict=True))

    def randoms(self, count: int) -> list[Arch]:
        """Random students under the budget, uniform among all of the kept operators."""
        draw = rng(self.config.seed, "random", self.goal.name)
        return [self.whole(arch) for arch in uniform_under(self.program(self.costs), count, draw)]

    def objective(self, arch: Arch) -> float:
        """The mean score of a student: what the integer program thinks of it."""
        return sum(row[k].loss for row, k in zip(self.scores, arch, strict=True)) / len(arch)

    def told(self, arch: Arch) -> dict[str, float]:
        """What the tables say that a student costs."""
        return {metric: costs.of(arch) for metric, costs in self.costs.items()}

    def judged(self, arch: Arch) -> Judged:
        """A student with pretrained candidates, on images that no score has seen."""
        if arch not in self._judged:
            settings = self.config.solving
            recalibrates = settings.norms == "recal"
            student = self.study.student(arch, copied=recalibrates)
            self._judged[arch] = judge(student, self._images, settings.norms)
        return self._judged[arch]

    @cached_property
    def _images(self) -> list[Any]:
        scoring, solving = self.config.scoring, self.config.solving
        return chosen_images(self.study.task.split(SPLIT), solving.images, scoring.batch_size, scoring.images)

    def within(self, judged: Sequence[tuple[Found, Judged]]) -> tuple[Arch, dict[str, float], bool]:
        """The best student whose compiled network keeps the budgets; corrected tables help where the first does not.

        Raises LimitBroken where not even then, on a device BudgetInfeasible.
        """
        archs, tried = {one.arch for one, _ in judged}, dict[Arch, dict[str, float]]()
        for arch in self._ranked(archs)[:1]:
            if self.fits(tried.setdefault(arch, self.compiled(arch))):
                return arch, tried[arch], False
        for _ in range(1 if self.config.device is not None else REPAIRS):
            corrected = self._corrected(tried)
            archs |= {one.arch for one in self._again(corrected)}
            left = [arch for arch in self._ranked(archs - tried.keys()) if self._holds(arch, corrected)]
            for arch in left[:FINALISTS]:
                if self.fits(tried.setdefault(arch, self.compiled(arch))):
                    return arch, tried[arch], True
        raise self._broken(tried)

    def _corrected(self, tried: Mapping[Arch, Mapping[str, float]]) -> dict[str, Costs]:
        """Tables by which the student that was underestimated most costs what it does."""
        found = {}
        for metric, own in self.costs.items():
            _, told, truth = max(
                (cost[metric] / own.of(arch), own.of(arch), cost[metric]) for arch, cost in tried.items()
            )
            found[metric] = own.corrected(told, truth / min(self.allowed(metric), 1.0))
        return found

    def _broken(self, tried: Mapping[Arch, Mapping[str, float]]) -> Exception:
        """What to tell where no student keeps the budgets."""
        limits, last = dict(self.goal.limits), list(tried.values())[-1]
        if self.config.device is not None:
            return BudgetInfeasible(
                f"the network must keep {limits} on the device, but of {len(tried)} measured there "
                f"none does, the last: {last}; raise the budget, or give more --candidates"
            )
        return LimitBroken(
            f"the compiled network must cost at most {PICKED} of its budget, but none of {len(tried)} does, "
            f"the last: {last} of {limits}; raise the budget"
        )

    def _ranked(self, archs: Iterable[Arch]) -> list[Arch]:
        """The least loss first."""
        return sorted(archs, key=lambda arch: (self.judged(arch).loss, arch))

    def _again(self, corrected: dict[str, Costs]) -> tuple[Found, ...]:
        try:
            return self.solutions(corrected)
        except BudgetInfeasible:
            return ()

    def fits(self, cost: dict[str, float]) -> bool:
        """Is a compiled network within its budgets?"""
        return all(cost[m] <= at_most * self.allowed(m) for m, at_most in self.goal.limits.items())

    def allowed(self, metric: str) -> float:
        """How much of its budget a student may use that is picked; on a device the budget itself must be kept."""
        return 1 - MARGIN if metric == LATENCY and self.config.device is not None else PICKED

    def _holds(self, arch: Arch, costs: dict[str, Costs]) -> bool:
        return all(costs[m].of(arch) <= at_most * (1 + SLACK) for m, at_most in self.goal.limits.items())

    def compiled(self, arch: Arch) -> dict[str, float]:
        """What the compiled student costs; latency measured where the run measures."""
        study = self.study
        graph = student_graph(study, arch, study.student(arch, copied=False))
        by_model = [m for m in self.costs if not (m == LATENCY and self.config.measures)]
        metrics = [metric_of(name, study.deployment) for name in by_model]
        found = dict(compiled_costs(graph, study.deployment, metrics)) if metrics else {}
        if len(by_model) < len(self.costs):
            found[LATENCY] = measured_student(study, self._meter, graph, self.costs[LATENCY].teacher)
            self._tell(arch, found[LATENCY])
        return found

    @cached_property
    def _meter(self) -> Meter:
        return meter_of(self._run, self.study)

    def _tell(self, arch: Arch, ms: float) -> None:
        """Keep what a device said."""
        if self.config.device is not None:
            predicted = self.costs[LATENCY].of(arch)
            self._run.journal.write(BOARD, len(self.measured), measured=ms, predicted=predicted)
            told = {"name": self.study.space.name_of(arch), "measured_ms": ms, "predicted_ms": predicted}
            self.measured.append(told)


def _underestimated(pair: tuple[float, float]) -> float:
    """How many times more something costs than was told."""
    told, truth = pair
    return truth / told


def _tau(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Kendall's tau; None where it is undefined."""
    if len({a for a, _ in pairs}) < 2 or len({b for _, b in pairs}) < 2:
        return None
    return float(kendalltau(*zip(*pairs, strict=True)).statistic)
