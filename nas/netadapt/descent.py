"""Multi-layer coordinate descent (NetAdaptV2, Sec. 3.3), and single-layer as the baseline (NetAdaptV1, Sec. 3)."""

import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from typing import Any, Literal, Protocol

from nascc.nas.core import Arch, Space
from nascc.nas.core.randomness import rng
from nascc.nas.errors import BudgetInfeasible
from nascc.nas.netadapt.budget_steps import budgets, require_reach

ATTEMPTS = 20
"""Draws of layers for one sample before it may touch twice as many."""
CHECKED = 8
"""How many of the best samples are looked at exactly before one of them is shrunk further."""


class Resource(Protocol):
    """What an architecture costs. `guess` may be fast and off by a factor; is it `trusted` to be about right then?"""

    @property
    def trusted(self) -> bool: ...

    def __call__(self, arch: Arch) -> float: ...

    def guess(self, arch: Arch) -> float: ...


@dataclass(frozen=True)
class Descent:
    """`samples` J of an iteration, each shrinks some layers, at most `layers` L; budgets fall by `step` r0 times the
    initial cost, `decay` times less each iteration.

    `exactly` L layers is what the paper has; fewer now and then finds better networks at the same price (measured on
    synthetic objectives, most where layers depend on each other). `single` takes one sample a layer, which shrinks it
    alone. `select` the sample of the largest score, or of the least loss of score per cost (NetAdaptV1's code).
    """

    samples: int
    layers: int
    step: float
    decay: float = 0.98
    exactly: bool = False
    single: bool = False
    select: Literal["score", "ratio"] = "score"


@dataclass(frozen=True)
class Point:
    """Where a descent stood after an iteration: its budget, the network, its cost, its score (higher is better)."""

    budget: float
    arch: Arch
    cost: float
    score: float


@dataclass
class Progress:
    """What is known in the middle of a descent: finished iterations, and the samples of the one that is going on."""

    trajectory: list[Point] = field(default_factory=list)
    scored: list[tuple[Arch, float] | None] = field(default_factory=list)


@dataclass(frozen=True)
class Adaptation:
    """A descent from `start` to `target`: pure, so that a step can be repeated; what a step draws follows from `seed`.

    `groups` are the slots of each layer. Raises BudgetInfeasible where the steps can not reach the target, or no
    network can.
    """

    space: Space
    groups: Sequence[tuple[int, ...]]
    cost: Resource
    score: Callable[[Arch], float]
    settings: Descent
    seed: int
    start: Arch
    start_score: float
    target: float

    def __post_init__(self) -> None:
        require_reach(self.cost(self.start), self.target, self.settings.step, self.settings.decay)

    @cached_property
    def budgets(self) -> tuple[float, ...]:
        """R_i of every iteration."""
        return tuple(budgets(self.cost(self.start), self.target, self.settings.step, self.settings.decay))

    @property
    def samples(self) -> int:
        """Samples of an iteration."""
        return len(self.groups) if self.settings.single else self.settings.samples

    @property
    def total(self) -> int:
        """Steps in all, one a sample."""
        return len(self.budgets) * self.samples

    def step(self, index: int, progress: Progress) -> None:
        """Draw and score one sample; after the last of an iteration, the best becomes where the next begins."""
        iteration, sample = divmod(index, self.samples)
        budget, best = self.budgets[iteration], self.best(progress)
        if best.cost <= budget:
            progress.scored.append(None)
        else:
            arch = self._sample(best, budget, iteration, sample)
            progress.scored.append(None if arch is None else (arch, self.score(arch)))
        if sample == self.samples - 1:
            chosen = best if best.cost <= budget else self._chosen(best, budget, iteration, progress)
            progress.trajectory.append(Point(budget, chosen.arch, chosen.cost, chosen.score))
            progress.scored = []

    def best(self, progress: Progress) -> Point:
        """Where the descent stands."""
        if progress.trajectory:
            return progress.trajectory[-1]
        return Point(math.inf, self.start, self.cost(self.start), self.start_score)

    def run(self) -> list[Point]:
        """The whole trajectory."""
        progress = Progress()
        for index in range(self.total):
            self.step(index, progress)
        return progress.trajectory

    def _sample(self, best: Point, budget: float, iteration: int, sample: int) -> Arch | None:
        draw = rng(self.seed, "descent", iteration, sample)
        if self.settings.single:
            return self._shrunk(best, budget, [self.groups[sample]], draw)
        return self._drawn(best, budget, self.settings.layers, ATTEMPTS, draw)

    def _drawn(self, best: Point, budget: float, layers: int, attempts: int, draw: random.Random) -> Arch | None:
        """Some layers shrunk until the budget holds; what does not get there is drawn again."""
        able = [group for group in self.groups if self._steps(best.arch, group)]
        for _ in range(attempts):
            count = layers if self.settings.exactly else draw.randint(1, layers)
            picked = draw.sample(able, min(count, len(able)))
            if (arch := self._shrunk(best, budget, picked, draw)) is not None:
                return arch
        return None

    def _shrunk(
        self, best: Point, budget: float, groups: Sequence[tuple[int, ...]], draw: random.Random
    ) -> Arch | None:
        """Steps in random order over the layers, as few as the budget asks for; None where all are not enough.

        The number of steps is found by bisection: costs mostly fall with every one, and what comes out is checked.
        """
        way = self._walk(best.arch, groups, draw)
        factor = best.cost / max(self.cost.guess(best.arch), 1e-300)

        def fits(arch: Arch) -> bool:
            return self.cost.guess(arch) * factor <= budget

        taken = list(islice(way, 1))
        while taken and not fits(taken[-1]):
            more = list(islice(way, len(taken)))
            if not more:
                break
            taken += more
        first = bisect_left(taken, True, key=fits)
        if self.cost.trusted:
            return taken[first] if first < len(taken) else None
        return next((arch for arch in chain(taken[first:], way) if self.cost(arch) <= budget), None)

    def _walk(self, arch: Arch, groups: Sequence[tuple[int, ...]], draw: random.Random) -> Iterator[Arch]:
        """One step after the other: a random layer, a random legal step of it, until nothing is left to shrink."""
        left = list(groups)
        while left:
            group = draw.choice(left)
            if steps := self._steps(arch, group):
                arch = draw.choice(steps)
                yield arch
            else:
                left.remove(group)

    def _steps(self, arch: Arch, group: tuple[int, ...]) -> list[Arch]:
        return [smaller for slot in group if (smaller := self.space.shrink(arch, slot)) is not None]

    def _chosen(self, best: Point, budget: float, iteration: int, progress: Progress) -> Point:
        """The best sample that keeps the budget; where none does, it is shrunk further, layer by layer."""
        valid = [scored for scored in progress.scored if scored is not None]
        ranked = sorted(valid, key=lambda scored: self._rank(best, *scored))
        for arch, score in ranked[:CHECKED]:
            if (cost := self.cost(arch)) <= budget:
                return Point(budget, arch, cost, score)
        began = [Point(budget, arch, self.cost(arch), score) for arch, score in ranked[:1]]
        draw, layers = rng(self.seed, "widened", iteration), self.settings.layers
        while True:
            for point in (*began, best):
                other = self._drawn(point, budget, layers, ATTEMPTS, draw)
                if other is not None and (cost := self.cost(other)) <= budget:
                    return Point(budget, other, cost, self.score(other))
            if layers >= len(self.groups):
                break
            layers *= 2
        least = self.cost(self.space.check(_smallest(self.space)))
        raise BudgetInfeasible(
            f"some network must cost at most {budget:.6g}, but shrinking every layer of the one at {best.cost:.6g} was "
            f"not enough, and the smallest costs {least:.6g}; raise the budget"
        )

    def _rank(self, best: Point, arch: Arch, score: float) -> tuple[float, Arch]:
        if self.settings.select == "score":
            return -score, arch
        return (best.score - score + 1e-6) / (best.cost - self.cost(arch) + 1e-5), arch


def _smallest(space: Space) -> Arch:
    return tuple(n - 1 if slot.ordered else 0 for n, slot in zip(space.choices, space.slots, strict=True))


def plain(progress: Progress) -> dict[str, Any]:
    """As numbers and lists that can be saved."""
    return {
        "trajectory": [[p.budget, list(p.arch), p.cost, p.score] for p in progress.trajectory],
        "scored": [None if s is None else [list(s[0]), s[1]] for s in progress.scored],
    }


def restored(saved: Mapping[str, Any]) -> Progress:
    """What `plain` saved."""
    points = [Point(budget, tuple(arch), cost, score) for budget, arch, cost, score in saved["trajectory"]]
    return Progress(points, [None if s is None else (tuple(s[0]), s[1]) for s in saved["scored"]])


def within(trajectory: Sequence[Point], at_most: float) -> Point | None:
    """The first point of a trajectory that keeps a budget: one descent answers for several."""
    return next((point for point in trajectory if point.cost <= at_most), None)
