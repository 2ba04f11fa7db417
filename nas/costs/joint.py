"""Whether several limits can be kept at once: an integer program over operators and pairs of neighbours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, product

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array, lil_array

from nascc.nas.core.space import Arch
from nascc.nas.costs.pairwise import Pairwise

Pair = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class _Program:
    """Binary variables: one a (place, choice), then one a pair of neighbours, then the largest share of a limit."""

    forms: tuple[Pairwise, ...]

    @property
    def starts(self) -> list[int]:
        """The first variable of each place; the last number is where pairs start."""
        return list(accumulate(map(len, self.forms[0].own), initial=0))

    @property
    def pairs(self) -> list[Pair]:
        """All pairs that any of the costs corrects."""
        return list(dict.fromkeys(pair for form in self.forms for pair in _corrected(form)))

    def variable(self, at: tuple[int, int]) -> int:
        return self.starts[at[0]] + at[1]


def least_share(forms: Sequence[Pairwise], limits: Sequence[float]) -> tuple[Arch, float]:
    """The architecture whose largest cost, as a share of its limit, is least; limits can be kept if that is at most 1.

    The forms must be of the same space.
    """
    forms = aligned(forms)
    program = _Program(forms)
    places, pairs, starts = program.forms[0].own, program.pairs, program.starts
    count = starts[-1] + len(pairs) + 1
    constraints = [_one_each(places, starts, count), _shares(program, limits, count)]
    if pairs:
        constraints.append(_neighbours(program, count))
    upper = np.r_[np.ones(count - 1), np.inf]
    found = milp(
        np.eye(1, count, count - 1)[0], integrality=np.r_[np.ones(count - 1), 0],
        bounds=Bounds(np.r_[np.zeros(count - 1), -np.inf], upper), constraints=constraints,
    )  # fmt: skip
    choice = [int(np.argmax(found.x[a:b])) for a, b in pairwise(starts)]
    decided = {slot: k for slot, k in zip(program.forms[0].slots, choice, strict=True) if slot is not None}
    arch = tuple(decided[slot] for slot in sorted(decided))
    return arch, max(form(arch) / limit for form, limit in zip(forms, limits, strict=True))


def aligned(forms: Sequence[Pairwise]) -> tuple[Pairwise, ...]:
    """The forms over the same places: those that know slots alone get the places of one that knows all."""
    whole = max(forms, key=lambda form: len(form.slots))
    return tuple(form if form.slots == whole.slots else _spread(form, whole) for form in forms)


def _spread(form: Pairwise, whole: Pairwise) -> Pairwise:
    rows = form.table()
    own = tuple((0.0,) if slot is None else tuple(rows[slot]) for slot in whole.slots)
    return Pairwise(whole.slots, own, whole.identity, {}, form.fixed)


def _corrected(form: Pairwise) -> Iterator[Pair]:
    for (i, j), matrix in form.junctions.items():
        for k, m in product(*map(range, matrix.shape)):
            if matrix[k, m]:
                yield (i, k), (j, m)


def _one_each(places: Sequence[Sequence[float]], starts: Sequence[int], count: int) -> LinearConstraint:
    rows = lil_array((len(places), count))
    for place, (a, b) in enumerate(pairwise(starts)):
        rows[place, a:b] = 1
    return LinearConstraint(csr_array(rows), 1, 1)


def _shares(program: _Program, limits: Sequence[float], count: int) -> LinearConstraint:
    """Each cost, as a share of its limit, is at most the last variable."""
    rows = np.zeros((len(program.forms), count))
    for row, form, limit in zip(rows, program.forms, limits, strict=True):
        row[: program.starts[-1]] = [value / limit for own in form.own for value in own]
        for k, ((i, a), (j, b)) in enumerate(program.pairs):
            if (i, j) in form.junctions:
                row[program.starts[-1] + k] = form.junctions[i, j][a, b] / limit
        row[-1] = -1
    return LinearConstraint(rows, -np.inf, [-f.constant / t for f, t in zip(program.forms, limits, strict=True)])


def _neighbours(program: _Program, count: int) -> LinearConstraint:
    """A pair is there exactly when both its operators are, and identities in all places between them."""
    identity, pairs = program.forms[0].identity, program.pairs
    rows, lower = list[tuple[list[int], list[float]]](), list[float]()
    for k, ((i, a), (j, b)) in enumerate(pairs):
        own = program.starts[-1] + k
        there = [[program.variable((i, a))], [program.variable((j, b))]]
        for between in range(i + 1, j):
            there.append([program.variable((between, c)) for c, idle in enumerate(identity[between]) if idle])
        for some in there:
            rows.append(([*some, own], [*[1.0] * len(some), -1.0]))
            lower.append(0.0)
        every = [v for some in there for v in some]
        rows.append(([own, *every], [1.0, *[-1.0] * len(every)]))
        lower.append(1.0 - len(there))
    matrix = lil_array((len(rows), count))
    for index, (columns, values) in enumerate(rows):
        for column, value in zip(columns, values, strict=True):
            matrix[index, column] = value
    return LinearConstraint(csr_array(matrix), lower, np.inf)
