"""Local search: from any choice to one that keeps every constraint, and to a better one."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nascc.nas.core import Arch
from nascc.nas.program.instance import SLACK, Program

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]
MOST_MOVES = 400
PAIRS = 64
"""Changes that are tried together with another one, the best first."""


def repaired(
    program: Program,
    arch: Arch,
    *,
    others: Sequence[Arch] = (),
    overlap: int | None = None,
    allowed: Mask | None = None,
) -> Arch | None:
    """The choice with as few and as cheap changes as a descent finds that keeps budgets and overlaps; None: none found.

    Each change lowers the sum of what is broken, and costs as little score for it as any. `allowed` [variables] says
    which operators may be changed to.
    """
    state = _State(program, arch, others, overlap, allowed)
    for _ in range(MOST_MOVES):
        if state.broken <= 0:
            return state.arch
        if not state.mend():
            return None
    return None


def improved(
    program: Program,
    arch: Arch,
    *,
    others: Sequence[Arch] = (),
    overlap: int | None = None,
    allowed: Mask | None = None,
) -> Arch:
    """The best choice that changes of one layer, then of two at once, lead to; constraints stay kept.

    `allowed` [variables] says which operators may be changed to.
    """
    state = _State(program, arch, others, overlap, allowed)
    for _ in range(MOST_MOVES):
        if not state.improve_one() and not state.improve_two():
            break
    return state.arch


class _State:
    """A choice, and what it uses of every constraint: budgets, then overlaps, in shares of their bounds.

    Rows stand for variables, an operator of a layer each.
    """

    def __init__(
        self,
        program: Program,
        arch: Arch,
        others: Sequence[Arch],
        overlap: int | None,
        allowed: Mask | None = None,
    ) -> None:
        others = others if overlap is not None else ()
        self.program, self.arch = program, tuple(arch)
        everything = program.vector(program.scores)
        self.chosen = np.asarray(program.offsets[:-1]) + np.asarray(arch)
        self.scale = max(float(np.abs(everything).max(initial=0.0)), 1e-300)
        self.layer = np.repeat(np.arange(len(program.sizes)), program.sizes)
        self.scores, self.uses = everything, _uses(program, others, max(overlap or 0, 1))
        scales = [max(abs(b.at_most - b.constant), 1e-300) for b in program.budgets]
        bounds = [(b.at_most - b.constant) / s for b, s in zip(program.budgets, scales, strict=True)]
        self.bounds = np.asarray([*bounds, *[1.0 if overlap else 0.0] * len(others)])
        self.rows = np.arange(len(everything)) if allowed is None else np.flatnonzero(allowed)
        self.now = self.uses[self.chosen].sum(axis=0)

    @property
    def broken(self) -> float:
        """By how much constraints are broken; 0 where all hold."""
        return float(self._excess(self.now[None])[0])

    def mend(self) -> bool:
        """The change of one layer that repairs most for its score; False where none repairs anything."""
        repair = self.broken - self._excess(self._after(self.now, self.rows))
        price = np.maximum(self._price(self.rows), 0.0) + 1e-6 * self.scale
        worth = np.where(repair > SLACK, repair / price, 0.0)
        best = int(worth.argmax())
        if worth[best] <= 0:
            return False
        self._take(int(self.rows[best]))
        return True

    def improve_one(self) -> bool:
        """The change of one layer that lowers the score most and breaks nothing."""
        price = self._price(self.rows)
        better = self.rows[price < -SLACK * self.scale]
        fitting = better[self._excess(self._after(self.now, better)) <= 0]
        if not len(fitting):
            return False
        self._take(int(fitting[self._price(fitting).argmin()]))
        return True

    def improve_two(self) -> bool:
        """A pair of changes that lowers the score and breaks nothing: one layer gets better, another pays for it."""
        price = self._price(self.rows)
        order = np.argsort(price, kind="stable")[:PAIRS]
        for row in order[price[order] < -SLACK * self.scale]:
            if (payer := self._payer(int(self.rows[row]), float(price[row]))) is not None:
                self._take(int(self.rows[row]))
                self._take(payer)
                return True
        return False

    def _payer(self, variable: int, gain: float) -> int | None:
        """A change of another layer that makes room for one and costs less than that gains."""
        base = self._after(self.now, np.asarray([variable]))[0]
        total = self._price(self.rows) + gain
        cheap = self.rows[(total < -SLACK * self.scale) & (self.layer[self.rows] != self.layer[variable])]
        fitting = cheap[self._excess(self._after(base, cheap)) <= 0]
        return int(fitting[self._price(fitting).argmin()]) if len(fitting) else None

    def _price(self, rows: NDArray[np.int_]) -> Vector:
        """What the score grows by with each change."""
        return np.asarray(self.scores[rows] - self.scores[self.chosen[self.layer[rows]]])

    def _after(self, now: Vector, rows: NDArray[np.int_]) -> Vector:
        """What is used after each change, [changes, constraints]."""
        return np.asarray(now - self.uses[self.chosen[self.layer[rows]]] + self.uses[rows])

    def _excess(self, used: Vector) -> Vector:
        """How much is broken, [changes, constraints] -> [changes]."""
        over = used - self.bounds - SLACK * np.maximum(np.abs(self.bounds), 1.0)
        return np.asarray(np.maximum(over, 0.0).sum(axis=1))

    def _take(self, variable: int) -> None:
        layer = int(self.layer[variable])
        self.now = self.now - self.uses[self.chosen[layer]] + self.uses[variable]
        self.chosen[layer] = variable
        index = variable - self.program.offsets[layer]
        self.arch = (*self.arch[:layer], index, *self.arch[layer + 1 :])


def _uses(program: Program, others: Sequence[Arch], overlap: int) -> Vector:
    """What each variable uses of each constraint, [variables, constraints]."""
    uses = np.zeros((program.offsets[-1], len(program.budgets) + len(others)))
    for k, budget in enumerate(program.budgets):
        uses[:, k] = program.vector(budget.costs) / max(abs(budget.at_most - budget.constant), 1e-300)
    for k, other in enumerate(others, len(program.budgets)):
        uses[[program.offsets[i] + other[i] for i in program.free], k] = 1.0 / overlap
    return uses
