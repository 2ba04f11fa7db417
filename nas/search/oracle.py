"""A made-up accuracy and a made-up cost, on which a search can be compared with the exact optimum."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor, fx

from nascc.nas.core.cost import Cost
from nascc.nas.core.selection import legal_columns
from nascc.nas.core.space import Arch
from nascc.nas.errors import SearchError

Rows = Sequence[Sequence[float]]


def padded(rows: Rows) -> Tensor:
    """Ragged rows -> float64 [S, C], zero beyond a row's end."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows], dtype=torch.float64)


class Oracle:
    """utility(a) = sum of `rows[s][a_s]` + sum of `pairs[s, t][a_s][a_t]`: what a network's accuracy would be."""

    def __init__(self, rows: Rows, pairs: Mapping[tuple[int, int], Rows] | None = None) -> None:
        self.rows = tuple(tuple(map(float, row)) for row in rows)
        self.pairs = {slots: padded(matrix) for slots, matrix in (pairs or {}).items()}
        for (first, second), matrix in self.pairs.items():
            if tuple(matrix.shape) != (wanted := (len(rows[first]), len(rows[second]))):
                raise SearchError(f"pair {first, second} must have shape {wanted}, got {tuple(matrix.shape)}")

    @property
    def choices(self) -> tuple[int, ...]:
        """The number of operators of each slot."""
        return tuple(map(len, self.rows))

    def __call__(self, arch: Arch) -> float:
        """The utility of an architecture: more is better."""
        own = sum(row[index] for row, index in zip(self.rows, arch, strict=True))
        return own + sum(float(matrix[arch[s], arch[t]]) for (s, t), matrix in self.pairs.items())

    def loss(self, coefficients: Tensor) -> Tensor:
        """Minus the utility of coefficients [S, C], with their gradient; linear in each slot."""
        own = (coefficients * self._table.to(coefficients.dtype)).sum()
        for (s, t), matrix in self.pairs.items():
            rows, columns = matrix.shape
            own = own + coefficients[s, :rows] @ matrix.to(coefficients.dtype) @ coefficients[t, :columns]
        return -own

    @cached_property
    def _table(self) -> Tensor:
        return padded(self.rows)


class SyntheticCost(Cost):
    """A sum of one number a slot and a constant; it knows no graph."""

    def __init__(self, rows: Rows, constant: float = 0.0, metric: str = "latency", unit: str = "ms") -> None:
        self.metric, self.unit = metric, unit
        self._rows, self._constant = [list(map(float, row)) for row in rows], float(constant)

    def __call__(self, arch: Arch) -> float:
        return self._constant + sum(row[index] for row, index in zip(self._rows, arch, strict=True))

    def of_graph(self, graph: fx.GraphModule) -> float:
        raise SearchError("a synthetic cost must be asked about architectures: it describes no graph")

    def soft(self, coefficients: Tensor) -> Tensor:
        return self._constant + (coefficients * self._table.to(coefficients)).sum()

    def table(self) -> list[list[float]]:
        return [list(row) for row in self._rows]

    @property
    def constant(self) -> float:
        return self._constant

    @property
    def reach(self) -> tuple[float, float]:
        """The least and the largest cost of any architecture."""
        return self._constant + sum(map(min, self._rows)), self._constant + sum(map(max, self._rows))

    @cached_property
    def _table(self) -> Tensor:
        return padded(self._rows)


def legal_of(rows: Rows) -> Tensor:
    """BoolTensor [S, C]: which columns of the padded rows are operators."""
    return legal_columns(tuple(map(len, rows)))
