"""What is chosen: one operator for each layer, each with a score, under budgets that add up over the layers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from nascc.nas.core import Arch
from nascc.nas.errors import SearchError

Table = tuple[tuple[float, ...], ...]
"""A number for each operator of each layer; layers may have different numbers of operators."""
SLACK = 1e-9
"""Rounding that a sum may be above its budget, as a share of it."""


@dataclass(frozen=True)
class Budgeted:
    """One budget: `constant` + the sum of `costs` of the chosen operators is at most `at_most`."""

    name: str
    costs: Table
    at_most: float
    constant: float = 0.0

    def of(self, arch: Arch) -> float:
        """What a choice costs."""
        return self.constant + sum(row[index] for row, index in zip(self.costs, arch, strict=True))

    def holds(self, arch: Arch) -> bool:
        return self.allows(self.of(arch))

    def allows(self, cost: float) -> bool:
        """Is a cost within the budget, rounding left aside?"""
        return cost <= self.at_most + SLACK * max(abs(self.at_most), 1e-300)

    @property
    def least(self) -> float:
        """What the cheapest choice costs."""
        return self.constant + sum(map(min, self.costs))

    @property
    def most(self) -> float:
        """What the dearest choice costs."""
        return self.constant + sum(map(max, self.costs))


@dataclass(frozen=True)
class Program:
    """Minimise the mean score over the layers, 1/N sum a_i z_i, one operator a layer, budgets kept (hant.md, Eq. 4).

    Smaller scores are better and may be negative. Raises SearchError where tables do not fit each other.
    """

    scores: Table
    budgets: tuple[Budgeted, ...] = ()
    offsets: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        sizes = [len(row) for row in self.scores]
        if not sizes or not min(sizes):
            raise SearchError(f"every layer must have an operator to choose, got layers of {sizes}")
        for budget in self.budgets:
            if (other := [len(row) for row in budget.costs]) != sizes:
                raise SearchError(f"costs of '{budget.name}' must be of {sizes} operators a layer, got {other}")
        if not all(np.isfinite([v for row in rows for v in row]).all() for rows in self._tables()):
            raise SearchError("scores and costs of an integer program must be finite numbers")
        object.__setattr__(self, "offsets", tuple(accumulate(sizes, initial=0)))

    def _tables(self) -> Sequence[Table]:
        return [self.scores, *(budget.costs for budget in self.budgets)]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of operators of each layer."""
        return tuple(map(len, self.scores))

    @cached_property
    def free(self) -> tuple[int, ...]:
        """Layers with more than one operator: only they count in overlaps."""
        return tuple(i for i, size in enumerate(self.sizes) if size > 1)

    def objective(self, arch: Arch) -> float:
        """The mean score of a choice."""
        return sum(row[index] for row, index in zip(self.scores, arch, strict=True)) / len(self.scores)

    def keeps(self, arch: Arch) -> bool:
        """Does a choice keep every budget?"""
        return all(budget.holds(arch) for budget in self.budgets)

    def overlap(self, first: Arch, second: Arch) -> int:
        """Layers in which two choices are the same, those without a choice left out."""
        return sum(first[i] == second[i] for i in self.free)

    def vector(self, table: Table) -> NDArray[np.float64]:
        """A table as one row of the matrix, [variables]."""
        return np.fromiter((v for row in table for v in row), np.float64, self.offsets[-1])

    def arch(self, values: NDArray[np.float64]) -> Arch:
        """The choice of a solution [variables]: the largest variable of each layer."""
        parts = zip(self.offsets[:-1], self.offsets[1:], strict=True)
        return tuple(int(values[first:last].argmax()) for first, last in parts)
