"""Sums over operators with corrections for neighbours: the form of every cost that compiled networks have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise as neighbours
from itertools import product

import numpy as np
import torch
from torch import Tensor

from nascc.nas.core.space import Arch

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Rows = Sequence[Sequence[float]]


@dataclass(frozen=True, eq=False)
class Pairwise:
    """constant + sum of own[place][choice] + sum of junctions[i, j][a_i, a_j] over neighbours, in a sequence of places.

    A place is decided by a slot, or fixed (`slots` None, one choice). Identities drop out, so the neighbours are those
    around them; a pair that is not in `junctions` costs nothing, nor does an identity there.
    """

    slots: tuple[int | None, ...]
    own: tuple[tuple[float, ...], ...]
    identity: tuple[tuple[bool, ...], ...]
    junctions: Mapping[tuple[int, int], Matrix] = field(default_factory=dict)
    constant: float = 0.0

    @classmethod
    def additive(cls, rows: Rows, constant: float = 0.0) -> "Pairwise":
        """A table of numbers, one row a slot, and nothing else."""
        own = tuple(tuple(map(float, row)) for row in rows)
        return cls(tuple(range(len(own))), own, tuple((False,) * len(row) for row in own), {}, float(constant))

    def choice(self, arch: Arch) -> list[int]:
        """The index of the choice of every place."""
        return [0 if slot is None else arch[slot] for slot in self.slots]

    def __call__(self, arch: Arch) -> float:
        choice = self.choice(arch)
        total = self.constant + sum(row[k] for row, k in zip(self.own, choice, strict=True))
        if not self._lookup:
            return total
        left = [(i, k) for i, k in enumerate(choice) if not self.identity[i][k]]
        return total + sum(self._lookup.get(pair, 0.0) for pair in neighbours(left))

    def soft(self, coefficients: Tensor) -> Tensor:
        """The expected cost if every slot draws on its own with probabilities [S, C]: multilinear, exact at corners."""
        chances = coefficients.to("cpu", torch.float64)
        total = self._fixed + (chances * self._rows).sum()
        idle = {place: self._chances(place, chances) @ self._identities[place] for place in self._bridged}
        for (i, j), matrix in self._matrices.items():
            term = self._chances(i, chances) @ matrix @ self._chances(j, chances)
            for between in range(i + 1, j):
                term = term * idle[between]
            total = total + term
        return total.to(coefficients)

    def table(self) -> list[list[float]]:
        """What each operator of each slot costs on its own."""
        return [list(row) for slot, row in sorted(self._searched.items())]

    @property
    def fixed(self) -> float:
        """What costs the same in every network."""
        return self.constant + sum(row[0] for slot, row in zip(self.slots, self.own, strict=True) if slot is None)

    def scaled(self, factor: float, offset: float = 0.0) -> "Pairwise":
        """factor * this + offset."""
        own = tuple(tuple(factor * value for value in row) for row in self.own)
        junctions = {pair: factor * matrix for pair, matrix in self.junctions.items()}
        return replace(self, own=own, junctions=junctions, constant=factor * self.constant + offset)

    def plus(self, rows: Rows) -> "Pairwise":
        """With `rows[slot][choice]` added."""
        own = tuple(
            row if slot is None else tuple(a + b for a, b in zip(row, rows[slot], strict=True))
            for slot, row in zip(self.slots, self.own, strict=True)
        )
        return replace(self, own=own)

    @cached_property
    def _searched(self) -> dict[int, tuple[float, ...]]:
        return {slot: row for slot, row in zip(self.slots, self.own, strict=True) if slot is not None}

    @cached_property
    def _lookup(self) -> dict[tuple[tuple[int, int], tuple[int, int]], float]:
        return {
            ((i, k), (j, m)): float(matrix[k, m])
            for (i, j), matrix in self.junctions.items()
            for k, m in product(*map(range, matrix.shape))
            if matrix[k, m]
        }

    @cached_property
    def _fixed(self) -> float:
        return self.fixed

    @cached_property
    def _rows(self) -> Tensor:
        rows = self.table()
        width = max(map(len, rows), default=0)
        return torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows], dtype=torch.float64)

    @cached_property
    def _matrices(self) -> dict[tuple[int, int], Tensor]:
        return {pair: torch.from_numpy(np.array(m)) for pair, m in self.junctions.items() if np.any(m)}

    @cached_property
    def _bridged(self) -> set[int]:
        """The places between neighbours that act on each other."""
        return {between for i, j in self._matrices for between in range(i + 1, j)}

    @cached_property
    def _identities(self) -> list[Tensor]:
        return [torch.tensor(row, dtype=torch.float64) for row in self.identity]

    def _chances(self, place: int, coefficients: Tensor) -> Tensor:
        slot, choices = self.slots[place], len(self.own[place])
        return coefficients.new_ones(1) if slot is None else coefficients[slot, :choices]
