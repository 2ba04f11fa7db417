"""Random choices under a budget, every one equally likely."""

import random

import numpy as np
from numpy.typing import NDArray

from nascc.nas.core import Arch
from nascc.nas.program.instance import Budgeted, Program

STEPS = 4096
ATTEMPTS = 2000


def uniform_under(program: Program, count: int, rng: random.Random) -> tuple[Arch, ...]:
    """Up to `count` different choices that keep all budgets, uniform among them.

    Costs of the first budget are rounded up to 1/4096 of what may be spent, and choices under it counted exactly, so
    that no draw is wasted however tight it is; further budgets are kept by drawing again.
    """
    if not program.budgets:
        draws = (tuple(rng.randrange(n) for n in program.sizes) for _ in range(ATTEMPTS))
        return _different(program, draws, count)
    counter = _Counter(program.budgets[0])
    return _different(program, (counter.draw(rng) for _ in range(ATTEMPTS if counter.any else 0)), count)


def _different(program: Program, draws: "object", count: int) -> tuple[Arch, ...]:
    found: dict[Arch, None] = {}
    for arch in draws:  # type: ignore[attr-defined]
        if program.keeps(arch):
            found[arch] = None
        if len(found) == count:
            break
    return tuple(found)


class _Counter:
    """How many choices of the layers from one on cost at most so much."""

    def __init__(self, budget: Budgeted) -> None:
        least = [min(row) for row in budget.costs]
        room = budget.at_most - budget.constant - sum(least)
        self.any = room >= -1e-12
        step = max(room, 1e-300) / STEPS
        self.steps = [
            [int(np.ceil((cost - low) / step - 1e-9)) for cost in row]
            for row, low in zip(budget.costs, least, strict=True)
        ]
        self.counts: list[NDArray[np.float64]] = [np.ones(STEPS + 1)]
        for row in reversed(self.steps):
            self.counts.append(sum((_shifted(self.counts[-1], s) for s in row), np.zeros(STEPS + 1)))
        self.counts.reverse()

    def draw(self, rng: random.Random) -> Arch:
        """One choice, uniform among those under the budget."""
        left, arch = STEPS, list[int]()
        for layer, row in enumerate(self.steps):
            ways = [self.counts[layer + 1][left - s] if s <= left else 0.0 for s in row]
            index = rng.choices(range(len(row)), ways)[0]
            arch.append(index)
            left -= row[index]
        return tuple(arch)


def _shifted(counts: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """counts[b - steps] for every b; 0 below."""
    if steps > STEPS:
        return np.zeros_like(counts)
    return np.concatenate([np.zeros(steps), counts[: STEPS + 1 - steps]])
