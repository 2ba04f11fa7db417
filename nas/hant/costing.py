"""What blocks and whole students cost on a target: tables that add up, and the compiled graph, which decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import fx

from nascc.compiler.capture import captured_graph
from nascc.compiler.compile import compile
from nascc.nas.core import Arch
from nascc.nas.costs import Deployment
from nascc.nas.costs.metrics import Metric, metric_of
from nascc.nas.hant.goals import LATENCY, Range
from nascc.nas.program import Budgeted
from nascc.nas.program.instance import Table
from nascc.passes import graph as g
from nascc.runtime.kernels import Kernel

Compiled = tuple[tuple[Kernel, ...], int]
"""Kernels, and floating-point constants counted."""


@dataclass(frozen=True)
class Costs:
    """One metric: `table[slot][operator]`, `constant` for stem, head and what lies between, `teacher` for all of it."""

    metric: str
    table: Table
    constant: float
    teacher: float

    def of(self, arch: Arch) -> float:
        """The sum for a student."""
        return self.constant + sum(row[index] for row, index in zip(self.table, arch, strict=True))

    @property
    def range(self) -> Range:
        """From the cheapest student to the teacher."""
        return Range(self.constant + sum(map(min, self.table)), self.teacher)

    def budget(self, at_most: float) -> Budgeted:
        """As a constraint of an integer program."""
        return Budgeted(self.metric, self.table, at_most, self.constant)

    def fitted(self, truths: Mapping[Arch, float]) -> "Costs":
        """What is saved by replacing blocks scaled to what whole students cost, by least squares.

        What is measured apart runs in other company than in the network, and savings come out a little off, all alike.
        """
        told = np.asarray([self.teacher - self.of(arch) for arch in truths])
        true = np.asarray([self.teacher - truth for truth in truths.values()])
        factor = float(told @ true / squares) if (squares := float(told @ told)) else 1.0
        if factor <= 0:
            return self
        table = tuple(tuple(value * factor for value in row) for row in self.table)
        return Costs(self.metric, table, self.teacher - sum(row[0] for row in table), self.teacher)

    def corrected(self, told: float, truth: float) -> "Costs":
        """The table scaled so that a student told to cost one number costs another."""
        factor = max((truth - self.constant) / max(told - self.constant, 1e-300), 1e-3)
        return Costs(
            self.metric, tuple(tuple(v * factor for v in row) for row in self.table), self.constant, self.teacher
        )


def metrics_known(place: Deployment, wanted: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics wanted, and latency wherever the target has a model of it. Raises NotCalibrated, SearchError."""
    names = dict.fromkeys((*wanted, *((LATENCY,) if place.target.latency is not None else ())))
    return tuple(metric_of(name, place) for name in names)


def compiled_costs(graph: fx.GraphModule, place: Deployment, metrics: Sequence[Metric]) -> Mapping[str, float]:
    """What a graph in the IR, of static shapes, costs compiled."""
    kernels, params = compiled_for(graph, place)
    return {metric.name: metric.whole(kernels, params) for metric in metrics}


def compiled_for(graph: fx.GraphModule, place: Deployment) -> Compiled:
    """A graph in the IR, of static shapes, compiled for a deployment. Raises CompileError."""
    found = compile(
        captured_graph(graph), target=place.target, power_mode=place.power_mode, verify=False, lower=False
    ).graph
    return place.kernels(found), g.parameter_count(found)
