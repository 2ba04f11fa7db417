"""Costs as sums of descriptions: each operator is compiled once, and a network of them never."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
from torch import fx

from nascc.nas.core.space import Arch
from nascc.nas.costs.deployment import Deployment
from nascc.nas.costs.describer import Describer, Piece
from nascc.nas.costs.description import Description, meet
from nascc.nas.costs.metrics import Metric, metric_of
from nascc.nas.costs.pairwise import Matrix, Pairwise
from nascc.nas.costs.pairwise_cost import PairwiseCost
from nascc.nas.spaces import MacroSpace
from nascc.passes import graph as g

NEGLIGIBLE = 1e-12
"""Corrections below this share of a cost are rounding."""


@dataclass(frozen=True, eq=False)
class DescribedSpace:
    """The descriptions of all operators of a space, and of all neighbours that act on each other, at a deployment."""

    space: MacroSpace
    describer: Describer
    own: tuple[tuple[Description, ...], ...]
    junctions: dict[tuple[int, int], dict[tuple[int, int], Description]]

    @property
    def deployment(self) -> Deployment:
        return self.describer.deployment

    @property
    def folder(self) -> Path | None:
        """Where descriptions are kept; None where they are not."""
        path = self.describer.store.path
        return None if path is None else path.parent

    def cost(self, metric: str) -> "DescribedCost":
        """The cost of a metric, see `metric_of`. Raises NotCalibrated, SearchError."""
        return DescribedCost(self, metric_of(metric, self.deployment))

    @cached_property
    def has_runs(self) -> bool:
        """Are there operators through which neighbours act on each other?"""
        first = {(i, k) for (i, _), pairs in self.junctions.items() for k, _ in pairs}
        second = {(j, m) for (_, j), pairs in self.junctions.items() for _, m in pairs}
        return any(self.own[place][choice].through for place, choice in first & second)

    def runs(self, arch: Arch) -> Iterator[tuple[tuple[int, int], ...]]:
        """The longest sequences of (place, choice) of a network in which passes may act across borders."""
        choice = [0 if place.slot is None else arch[place.slot] for place in self.space.places]
        left = [(i, k) for i, k in enumerate(choice) if not self.own[i][k].identity]
        run = left[:1]
        for before, here in pairwise(left):
            if not meet(self.own[before[0]][before[1]], self.own[here[0]][here[1]]):
                yield tuple(run)
                run = [here]
                continue
            run.append(here)
            if not self.own[here[0]][here[1]].through:
                yield tuple(run)
                run = [here]
        yield tuple(run)

    def piece(self, at: tuple[int, int]) -> Piece:
        """The operator and context of a choice."""
        place = self.space.places[at[0]]
        return place.ops[at[1]], place.ctx


class DescribedCost(PairwiseCost):
    """A metric of compiled networks; `cost(arch)` equals `cost.of_graph` of the compiled network of `arch`."""

    def __init__(self, described: DescribedSpace, metric: Metric) -> None:
        self.described, self._metric = described, metric
        super().__init__(metric.name, metric.unit, self.form_of(metric))
        self._joint: dict[tuple[tuple[int, int], ...], float] = {}

    def __call__(self, arch: Arch) -> float:
        if not self.described.has_runs:
            return self.form(arch)
        choice = self.form.choice(arch)
        own = sum(row[k] for row, k in zip(self.form.own, choice, strict=True))
        return self.form.constant + own + sum(map(self._run, self.described.runs(arch)))

    def of_graph(self, graph: fx.GraphModule) -> float:
        kernels = self.described.deployment.kernels(graph)
        return self._metric.whole(kernels, g.parameter_count(graph))

    def form_of(self, metric: Metric) -> Pairwise:
        """The form of another metric over the same descriptions."""
        described = self.described
        own = tuple(tuple(metric.of(d.kernels, d.params) for d in row) for row in described.own)
        slots = tuple(place.slot for place in described.space.places)
        identity = tuple(tuple(d.identity for d in row) for row in described.own)
        junctions: dict[tuple[int, int], Matrix] = {}
        for (i, j), pairs in described.junctions.items():
            matrix = np.zeros((len(own[i]), len(own[j])))
            for choices, chain in pairs.items():
                matrix[choices] = self._difference(chain, metric)
            if np.any(matrix):
                junctions[i, j] = matrix
        return Pairwise(slots, own, identity, junctions, metric.constant)

    def _run(self, run: tuple[tuple[int, int], ...]) -> float:
        """What a run costs beyond the sum of its operators."""
        if len(run) == 1:
            return 0.0
        if run not in self._joint:
            describer = self.described.describer
            with describer.saving():
                self._joint[run] = self._difference(
                    describer.chain([self.described.piece(at) for at in run]), self._metric
                )
        return self._joint[run]

    def _difference(self, chain: Description, metric: Metric) -> float:
        together = metric.of(chain.kernels, chain.params)
        apart = sum(metric.of(d.kernels, d.params) for d in self.described.describer.apart(chain))
        return together - apart if abs(together - apart) > NEGLIGIBLE * apart else 0.0
