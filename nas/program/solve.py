"""One solution of an integer program by HiGHS, stopped by gap and nodes, never by the clock."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp
from scipy.sparse import csr_array, vstack

from nascc.nas.core import Arch
from nascc.nas.errors import BudgetInfeasible
from nascc.nas.program.instance import Program
from nascc.nas.program.repair import improved, repaired

Vector = NDArray[np.float64]
MARGIN = 1e-9
HAIRS = 20
"""Choices that HiGHS may offer although they break a budget."""
NEAR = 1500
"""Variables of least reduced cost that repair may choose."""
STARTS = 4
"""Solutions found last from which a local search starts too."""


@dataclass(frozen=True)
class Solver:
    """When HiGHS stops: at a relative gap to the best possible objective, or after so many nodes of its tree."""

    gap: float = 0.0
    nodes: int = 5000


@dataclass(frozen=True)
class Relaxed:
    """The program without integrality: its bound on the sum of scores, and what each variable would add to it."""

    bound: float
    values: Vector
    reduced: Vector


def solve(
    program: Program, solver: Solver | None = None, *, others: Sequence[Arch] = (), overlap: int | None = None
) -> Arch | None:
    """The best choice that shares at most `overlap` free layers with each of `others`; None where there is none.

    First the relaxed program; then what a local search finds from there bounds the objective from above, and variables
    that would break that bound are left out, which loses nothing: what is left is small. A start within the gap is the
    answer. Deterministic. Raises
    BudgetInfeasible where not even the budgets alone can be kept.
    """
    solver = solver or Solver()
    rows, upper = _rows(program, others, overlap)
    relaxed = _relaxed(program, rows, upper)
    if relaxed is None:
        _require_others(program, others)
        return None
    start = _start(program, relaxed, solver.gap, others, overlap)
    if start is not None and _room(program, relaxed, start) <= solver.gap * abs(relaxed.bound):
        return start
    allowed = _worth_it(program, relaxed, start)
    found = _integer(program, solver, rows, upper, allowed)
    if found is None:
        if start is None:
            _require_others(program, others)
        return start
    found = improved(program, found, others=others, overlap=overlap, allowed=allowed)
    return found if start is None or program.objective(found) < program.objective(start) else start


def _start(program: Program, relaxed: Relaxed, gap: float, others: Sequence[Arch], overlap: int | None) -> Arch | None:
    """The best that a local search finds from the relaxed solution, or from solutions that were found before.

    It ends as soon as one is within the gap.
    """
    near = np.zeros(len(relaxed.values), dtype=bool)
    near[np.argsort(relaxed.reduced, kind="stable")[:NEAR]] = True
    best: Arch | None = None
    for origin in (program.arch(relaxed.values), *others[:1], *others[-STARTS:]):
        found = repaired(program, origin, others=others, overlap=overlap, allowed=near)
        if found is not None:
            allowed = _worth_it(program, relaxed, found)
            found = improved(program, found, others=others, overlap=overlap, allowed=allowed)
            best = found if best is None or program.objective(found) < program.objective(best) else best
            if _room(program, relaxed, best) <= gap * abs(relaxed.bound):
                break
    return best


def _room(program: Program, relaxed: Relaxed, arch: Arch) -> float:
    """How far the sum of scores is above what is possible at best."""
    return program.objective(arch) * len(program.sizes) - relaxed.bound


def _worth_it(program: Program, relaxed: Relaxed, start: Arch | None) -> NDArray[np.bool_]:
    """Variables that a choice better than `start` can hold: the bound and their reduced cost stay below it."""
    if start is None:
        return np.ones(len(relaxed.values), dtype=bool)
    room = _room(program, relaxed, start)
    allowed: NDArray[np.bool_] = relaxed.reduced <= room + MARGIN * max(1.0, abs(relaxed.bound))
    allowed[_chosen(program, start)] = True
    return allowed


def _rows(program: Program, others: Sequence[Arch], overlap: int | None) -> tuple[csr_array, Vector]:
    """Every constraint as a row with an upper bound: budgets, scaled to 1, then overlaps."""
    rows, upper = list[csr_array](), list[float]()
    for budget in program.budgets:
        costs = program.vector(budget.costs)
        scale = max(float(np.abs(costs).max(initial=0.0)), 1e-300)
        rows.append(csr_array(costs[None] / scale))
        upper.append((budget.at_most - budget.constant) / scale)
    for other in others if overlap is not None else ():
        places = [program.offsets[i] + other[i] for i in program.free]
        ones = np.ones(len(places))
        rows.append(csr_array((ones, ([0] * len(places), places)), shape=(1, program.offsets[-1])))
        upper.append(float(overlap or 0))
    matrix = csr_array(vstack(rows)) if rows else csr_array((0, program.offsets[-1]))
    return matrix, np.asarray(upper)


def _one_each(program: Program) -> csr_array:
    layers = np.repeat(np.arange(len(program.sizes)), program.sizes)
    count = program.offsets[-1]
    return csr_array((np.ones(count), (layers, np.arange(count))), shape=(len(program.sizes), count))


def _relaxed(program: Program, rows: csr_array, upper: Vector) -> Relaxed | None:
    scores = program.vector(program.scores)
    limits = {"A_ub": rows, "b_ub": upper} if len(upper) else {}
    one = {"A_eq": _one_each(program), "b_eq": np.ones(len(program.sizes))}
    found = linprog(scores, **limits, **one, bounds=(0, None), method="highs")
    if found.x is None:
        return None
    duals = found.eqlin.marginals @ one["A_eq"] + (found.ineqlin.marginals @ rows if len(upper) else 0.0)
    return Relaxed(float(found.fun), np.asarray(found.x), np.maximum(scores - duals, 0.0))


def _integer(
    program: Program, solver: Solver, rows: csr_array, upper: Vector, allowed: NDArray[np.bool_]
) -> Arch | None:
    """The best choice among the allowed variables that HiGHS finds before it stops.

    HiGHS forgives a budget that is broken by a millionth: such a choice is excluded, and it is asked again.
    """
    kept = np.flatnonzero(allowed)
    constraints = [LinearConstraint(_one_each(program)[:, kept], 1.0, 1.0)]
    if len(upper):
        constraints.append(LinearConstraint(rows[:, kept], -np.inf, upper))
    for _ in range(HAIRS):
        arch = _highs(program, solver, constraints, kept)
        if arch is None or program.keeps(arch):
            return arch
        chosen = np.isin(kept, _chosen(program, arch)).astype(float)
        constraints.append(LinearConstraint(chosen[None], -np.inf, len(program.sizes) - 1.0))
    return None


def _highs(
    program: Program, solver: Solver, constraints: Sequence[LinearConstraint], kept: NDArray[np.int_]
) -> Arch | None:
    """One call of HiGHS over some of the variables."""
    with _no_words():
        found = milp(
            program.vector(program.scores)[kept],
            integrality=np.ones(len(kept)),
            bounds=Bounds(0, 1),
            constraints=list(constraints),
            options={"mip_rel_gap": solver.gap, "node_limit": solver.nodes},
        )
    if found.x is None:
        return None
    values = np.zeros(program.offsets[-1])
    values[kept] = found.x
    return program.arch(values)


@contextlib.contextmanager
def _no_words() -> Iterator[None]:
    """HiGHS leaves a line of its own debugging on standard output now and then, which belongs to reports."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _chosen(program: Program, arch: Arch) -> list[int]:
    return [first + index for first, index in zip(program.offsets, arch, strict=False)]


def _require_others(program: Program, others: Sequence[Arch]) -> None:
    """Raise BudgetInfeasible, with what can be kept, where no choice is left although there are no others.

    Fractions of operators may keep several budgets together that no whole ones do.
    """
    if others:
        return
    broken = [b for b in program.budgets if not b.allows(b.least)]
    for budget in broken or program.budgets:
        what = f"{budget.name} must be within {budget.least:.6g} and {budget.most:.6g}, got {budget.at_most:.6g}"
        raise BudgetInfeasible(what if broken else f"no choice keeps all budgets together; {what}; raise one of them")
