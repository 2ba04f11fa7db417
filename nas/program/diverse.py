"""Many good choices that differ from each other: what an additive score gets wrong, real evaluations put right."""

import math
from dataclasses import dataclass

from nascc.nas.core import Arch
from nascc.nas.program.instance import Program
from nascc.nas.program.solve import Solver, solve

SHARE = 0.7
"""Of the free layers, at most so many may be the same in two solutions (hant.md, Eq. 4)."""
FEW = 400
"""Variables for which proving the optimum takes no time."""
LATER = Solver(gap=0.05, nodes=3)
"""When later solves of larger programs stop."""


@dataclass(frozen=True)
class Found:
    """A solution and its mean score."""

    arch: Arch
    objective: float


def diverse(
    program: Program,
    count: int,
    share: float = SHARE,
    first: Solver | None = None,
    then: Solver | None = None,
) -> tuple[Found, ...]:
    """Up to `count` solutions, best first as they were found; any two agree in at most floor(share * N) free layers.

    No two are the same.

    `first` stops the first solve, by default at the optimum; `then` the others, by default at a gap of 5 %, and at the
    optimum too where there are few variables. Fewer come back where no more exist. Raises BudgetInfeasible.
    """
    overlap = min(math.floor(share * len(program.free) + 1e-9), len(program.free) - 1)
    found: list[Arch] = []
    for k in range(count):
        solver = (first or Solver()) if k == 0 else (then or _later(program))
        arch = solve(program, solver, others=found, overlap=overlap)
        if arch is None:
            break
        found.append(arch)
        if not program.free:
            break
    return tuple(Found(arch, program.objective(arch)) for arch in found)


def _later(program: Program) -> Solver:
    return Solver() if program.offsets[-1] <= FEW else LATER
