"""Local search: from any choice to one that keeps every constraint, and to a better one."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nascc.nas.core import Arch
from nascc.nas.program.instance import SLACK, Program

Vector = NDArray[np.float64]
MOST_MOVES = 400


def repaired(program: Program, arch: Arch, *, others: Sequence[Arch] = (), overlap: int | None = None) -> Arch | None:
    """The choice with as few and as cheap changes as a descent finds that keeps budgets and overlaps; None: none found.

    Each change lowers the sum of what is broken, and costs as little score for it as any.
    """
    state = _State.of(program, arch, others, overlap)
    for _ in range(MOST_MOVES):
        if state.broken() <= 0:
            return state.arch
        if not state.mend():
            return None
    return None


def improved(program: Program, arch: Arch, *, others: Sequence[Arch] = (), overlap: int | None = None) -> Arch:
    """The best choice that changes of one layer, then of two at once, lead to; constraints stay kept."""
    state = _State.of(program, arch, others, overlap)
    for _ in range(MOST_MOVES):
        if not state.improve_one() and not state.improve_two():
            break
    return state.arch


@dataclass
class _State:
    """A choice, with what it uses of every constraint; constraint 0 and on: budgets, then overlaps."""

    program: Program
    arch: Arch
    scores: list[Vector]
    uses: list[NDArray[np.float64]]
    """What each operator of each layer uses, [operators, constraints], in shares of each bound."""
    bounds: Vector
    now: Vector = field(init=False)

    def __post_init__(self) -> None:
        self.now = sum((u[k] for u, k in zip(self.uses, self.arch, strict=True)), np.zeros(len(self.bounds)))

    @classmethod
    def of(cls, program: Program, arch: Arch, others: Sequence[Arch], overlap: int | None) -> "_State":
        others = others if overlap is not None else ()
        scales = [max(abs(b.at_most - b.constant), 1e-300) for b in program.budgets]
        bounds = [(b.at_most - b.constant) / s for b, s in zip(program.budgets, scales, strict=True)]
        uses = []
        for layer, size in enumerate(program.sizes):
            own = np.zeros((size, len(scales) + len(others)))
            for k, (budget, scale) in enumerate(zip(program.budgets, scales, strict=True)):
                own[:, k] = np.asarray(budget.costs[layer]) / scale
            if size > 1:
                for k, other in enumerate(others, len(scales)):
                    own[other[layer], k] = 1.0 / max(overlap or 0, 1)
            uses.append(own)
        shares = [1.0 if overlap else 0.0] * len(others)
        limits = np.asarray([*bounds, *shares]) if bounds or others else np.zeros(0)
        return cls(program, tuple(arch), [np.asarray(row) for row in program.scores], uses, limits)

    def broken(self) -> float:
        """By how much constraints are broken, in shares of their bounds; 0 where all hold."""
        return _excess(self.now, self.bounds)

    def mend(self) -> bool:
        """The change of one layer that repairs most for its score; False where none repairs anything."""
        before, best, gain = self.broken(), None, 0.0
        for layer, index in enumerate(self.arch):
            after = self._excesses(self.now - self.uses[layer][index] + self.uses[layer])
            price = self.scores[layer] - self.scores[layer][index]
            repair = before - after
            worth = np.where(repair > SLACK, repair / (np.maximum(price, 0.0) + 1e-6 * self._scale()), 0.0)
            if (k := int(worth.argmax())) is not None and worth[k] > gain:
                best, gain = (layer, k), float(worth[k])
        if best is None:
            return False
        self._take(*best)
        return True

    def improve_one(self) -> bool:
        """The change of one layer that lowers the score most and breaks nothing."""
        best, gain = None, -SLACK * self._scale()
        for layer, index in enumerate(self.arch):
            fits = self._excesses(self.now - self.uses[layer][index] + self.uses[layer]) <= 0
            price = np.where(fits, self.scores[layer] - self.scores[layer][index], np.inf)
            if price[k := int(price.argmin())] < gain:
                best, gain = (layer, k), float(price[k])
        if best is None:
            return False
        self._take(*best)
        return True

    def improve_two(self) -> bool:
        """The first pair of changes that lowers the score and breaks nothing: one layer gets better, another pays."""
        for layer, index in enumerate(self.arch):
            price = self.scores[layer] - self.scores[layer][index]
            for k in np.flatnonzero(price < -SLACK * self._scale()):
                if (other := self._payer(layer, int(k), float(price[k]))) is not None:
                    self._take(layer, int(k))
                    self._take(*other)
                    return True
        return False

    def _payer(self, layer: int, choice: int, gain: float) -> tuple[int, int] | None:
        """A change of another layer that makes room for this one and costs less than it gains."""
        base = self.now - self.uses[layer][self.arch[layer]] + self.uses[layer][choice]
        best, total = None, -SLACK * self._scale()
        for other, index in enumerate(self.arch):
            if other == layer:
                continue
            price = gain + self.scores[other] - self.scores[other][index]
            fits = self._excesses(base - self.uses[other][index] + self.uses[other]) <= 0
            price = np.where(fits, price, np.inf)
            if price[k := int(price.argmin())] < total:
                best, total = (other, k), float(price[k])
        return best

    def _excesses(self, used: NDArray[np.float64]) -> Vector:
        """How much is broken for each of several uses, [n, constraints] -> [n]."""
        over = np.maximum(used - self.bounds - SLACK * np.maximum(np.abs(self.bounds), 1.0), 0.0)
        return np.asarray(over.sum(axis=1))

    def _take(self, layer: int, choice: int) -> None:
        self.now = self.now - self.uses[layer][self.arch[layer]] + self.uses[layer][choice]
        self.arch = (*self.arch[:layer], choice, *self.arch[layer + 1 :])

    def _scale(self) -> float:
        return max(max(float(np.abs(row).max()) for row in self.scores), 1e-300)


def _excess(used: Vector, bounds: Vector) -> float:
    return float(np.maximum(used - bounds - SLACK * np.maximum(np.abs(bounds), 1.0), 0.0).sum())
