"""What blocks and whole students cost on a target: tables that add up, and the compiled graph, which decides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import fx

from nascc.compiler.capture import captured_graph
from nascc.compiler.compile import compile
from nascc.nas.core import Arch
from nascc.nas.costs import Deployment, Describer
from nascc.nas.costs.metrics import Metric, metric_of
from nascc.nas.hant.goals import LATENCY, Range
from nascc.nas.pool import IDENTITY
from nascc.nas.program import Budgeted
from nascc.nas.program.instance import Table
from nascc.nas.regions import RegionSpace
from nascc.passes import graph as g
from nascc.runtime.kernels import Kernel

Told = Callable[[int, int], None]


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

    def corrected(self, told: float, truth: float) -> "Costs":
        """The table scaled so that a student told to cost one number costs another."""
        factor = max((truth - self.constant) / max(told - self.constant, 1e-300), 1e-3)
        return Costs(
            self.metric, tuple(tuple(v * factor for v in row) for row in self.table), self.constant, self.teacher
        )


@dataclass(frozen=True)
class Pieces:
    """Kernels and constants of every operator of every slot, and of the whole teacher, compiled for a deployment."""

    rows: tuple[tuple[tuple[tuple[Kernel, ...], int], ...], ...]
    whole: tuple[tuple[Kernel, ...], int]

    def costs(self, metric: Metric) -> Costs:
        """The table of a metric; what the teacher costs besides its blocks is the constant."""
        table = tuple(tuple(metric.of(kernels, params) for kernels, params in row) for row in self.rows)
        teacher = metric.whole(*self.whole)
        return Costs(metric.name, table, teacher - sum(row[0] for row in table), teacher)


def describe_pieces(space: RegionSpace, describer: Describer, told: Told | None = None) -> Pieces:
    """Compile every operator in its place, equal ones once, and the teacher. Raises CompileError, OSError."""
    place, rows, done = describer.deployment, [], 0
    total = sum(space.choices)
    with describer.saving():
        for slot, row in enumerate(space.slots):
            found = [_compiled(space.teacher.region(slot, place.batch), place)]
            for op in row.ops[1:]:
                if told is not None:
                    told(done := done + 1, total)
                description = describer.operator(op, space.contexts[slot])
                found.append(((), 0) if op.name == IDENTITY else (description.kernels, description.params))
            rows.append(tuple(found))
    return Pieces(tuple(rows), _compiled(space.teacher.at_batch(place.batch), place))


def metrics_known(place: Deployment, wanted: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics wanted, and latency wherever the target has a model of it. Raises NotCalibrated, SearchError."""
    names = dict.fromkeys((*wanted, *((LATENCY,) if place.target.latency is not None else ())))
    return tuple(metric_of(name, place) for name in names)


def compiled_costs(graph: fx.GraphModule, place: Deployment, metrics: Sequence[Metric]) -> Mapping[str, float]:
    """What a graph in the IR, of static shapes, costs compiled."""
    kernels, params = _compiled(graph, place)
    return {metric.name: metric.whole(kernels, params) for metric in metrics}


def _compiled(graph: fx.GraphModule, place: Deployment) -> tuple[tuple[Kernel, ...], int]:
    found = compile(
        captured_graph(graph), target=place.target, power_mode=place.power_mode, verify=False, lower=False
    ).graph
    return place.kernels(found), g.parameter_count(found)
