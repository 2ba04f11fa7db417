"""Costs fitted to measured networks: factor * another cost + a number an operator + an offset."""

from torch import fx

from nascc.nas.core.space import Arch
from nascc.nas.costs.deployment import noted_architecture
from nascc.nas.costs.metrics import UNITS
from nascc.nas.costs.pairwise import Pairwise, Rows
from nascc.nas.costs.pairwise_cost import PairwiseCost


class PredictedCost(PairwiseCost):
    """factor * base + sum of rows[slot][operator] + offset.

    Of a graph `base` is asked for the graph's own cost; for the rows it must say which architecture it came from.
    """

    def __init__(
        self, metric: str, rows: Rows, offset: float, base: PairwiseCost | None = None, factor: float = 1.0
    ) -> None:
        self.rows, self.offset, self.base, self.factor = [list(row) for row in rows], offset, base, factor
        form = Pairwise.additive(rows, offset) if base is None else base.form.scaled(factor, offset).plus(rows)
        super().__init__(metric, UNITS[metric], form)
        self._corrects = any(value for row in self.rows for value in row)

    def __call__(self, arch: Arch) -> float:
        based = 0.0 if self.base is None else self.factor * self.base(arch)
        return based + self._own(arch)

    def of_graph(self, graph: fx.GraphModule) -> float:
        own = self._own(noted_architecture(graph)) if self._corrects or self.base is None else self.offset
        return own if self.base is None else self.factor * self.base.of_graph(graph) + own

    def _own(self, arch: Arch) -> float:
        return self.offset + sum(row[k] for row, k in zip(self.rows, arch, strict=True))
