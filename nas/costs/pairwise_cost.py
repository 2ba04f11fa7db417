"""Costs whose form is known to be a sum over operators, with corrections for neighbours."""

import numpy as np
from torch import Tensor

from nascc.nas.core.cost import Cost
from nascc.nas.core.space import Arch
from nascc.nas.costs.pairwise import Pairwise
from nascc.nas.errors import NotAdditive


class PairwiseCost(Cost):
    """A cost whose form is known: the call, the differentiable form and the table all follow from it."""

    def __init__(self, metric: str, unit: str, form: Pairwise) -> None:
        self.metric, self.unit, self.form = metric, unit, form

    def __call__(self, arch: Arch) -> float:
        return self.form(arch)

    def soft(self, coefficients: Tensor) -> Tensor:
        """The expected cost if each slot drew on its own, corrections between neighbours included."""
        return self.form.soft(coefficients)

    def table(self) -> list[list[float]]:
        """Raises NotAdditive where operators act on each other; `upper_table` bounds these."""
        if pairs := sum(int(np.count_nonzero(m)) for m in self.form.junctions.values()):
            raise NotAdditive(
                f"{self.metric} must be a sum over slots here, but {pairs} pairs of neighbours cost less together than "
                "apart, since the compiler collapses what stands between them; use the call, `soft` or `upper_table`"
            )
        return self.form.table()

    def upper_table(self) -> tuple[list[list[float]], float]:
        """A table and a constant that add up to at least the cost of every network: neighbours save nothing."""
        dearer = sum(max(0.0, float(m.max())) for m in self.form.junctions.values())
        return self.form.table(), self.form.fixed + dearer

    @property
    def constant(self) -> float:
        return self.form.fixed
