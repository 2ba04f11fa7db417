"""Latencies that are taken and not estimated: of every operator among its neighbours, and of the whole teacher."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from onnx import ModelProto
from torch import fx

from nascc.compiler.capture import captured_graph
from nascc.compiler.compile import compile
from nascc.nas.core import Arch
from nascc.nas.core.randomness import rng
from nascc.nas.hant.costing import Costs
from nascc.nas.hant.goals import LATENCY
from nascc.nas.hant.pieces import added, holding, identity_of
from nascc.nas.hant.students import student_graph
from nascc.nas.hant.study import Study
from nascc.nas.phases.study import Study as BaseStudy
from nascc.nas.program import Program, uniform_under
from nascc.nas.regions import Neighbourhood, neighbourhoods
from nascc.passes import graph as g

SHARES = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
"""Where in the range of costs whole students are measured beside the blocks."""


@dataclass(frozen=True)
class Piece:
    """A model, made when it is its turn, and the shape (N, C, H, W) of its input."""

    make: Callable[[], ModelProto]
    shape: tuple[int, ...]


class Meter(Protocol):
    """Where latencies are taken, in milliseconds."""

    def profile(self, groups: Sequence[Sequence[Piece]], teacher: Piece) -> tuple[list[list[float]], float]:
        """Every model of every group, which are compared with each other, and the whole teacher."""

    def student(self, student: Piece, teacher: Piece, teacher_ms: float) -> float:
        """A whole network, as the profile counts, in which the teacher took `teacher_ms`."""


def measured_costs(study: Study, meter: Meter) -> Costs:
    """The latency of every operator among its neighbours, in ms of one batch, see `added`; fitted to whole students.

    The constant is what the whole teacher takes besides its blocks. Raises CompileError, and what measuring raises.
    """
    arounds = list(neighbourhoods(study.teacher, study.config.batch))
    groups = dict[str, tuple[Piece, ...]]()
    for slot, around in enumerate(arounds):
        if around.key not in groups:
            groups[around.key] = _group(study, slot, around)
    taken, teacher = meter.profile(list(groups.values()), whole(study, study.teacher.at_batch(study.config.batch)))
    known = dict(zip(groups, taken, strict=True))
    rows = [
        added(held, alone, identity_of(slot))
        for slot, around in zip(study.space.slots, arounds, strict=True)
        for *held, alone in [known[around.key]]
    ]
    costs = Costs(LATENCY, tuple(rows), teacher - sum(row[0] for row in rows), teacher)
    return costs.fitted({arch: measured_fresh(study, meter, arch, teacher) for arch in students_over(study, costs)})


def students_over(study: Study, costs: Costs) -> tuple[Arch, ...]:
    """A random student for each of a few budgets."""
    draw, found = rng(study.config.seed, "fitted"), list[Arch]()
    scores = tuple((0.0,) * len(row) for row in costs.table)
    for share in SHARES:
        limit = costs.range.least + share * (costs.range.teacher - costs.range.least)
        found += uniform_under(Program(scores, (costs.budget(limit),)), 1, draw)
    return tuple(dict.fromkeys(found))


def measured_fresh(study: Study, meter: Meter, arch: Arch, teacher_ms: float) -> float:
    """What a student takes before any candidate is trained, as `measured_student`."""
    return measured_student(study, meter, student_graph(study, arch, study.space.build(arch).eval()), teacher_ms)


def measured_student(study: Study, meter: Meter, graph: fx.GraphModule, teacher_ms: float) -> float:
    """What a student's graph in the IR takes, compiled, in ms. Raises CompileError, and what measuring raises."""
    teacher = study.teacher.at_batch(study.config.batch)
    return meter.student(whole(study, graph), whole(study, teacher), teacher_ms)


def whole(study: BaseStudy, graph: fx.GraphModule) -> Piece:
    """A graph in the IR of a whole network."""
    return _piece(study, lambda: graph, study.config.image)


def _group(study: Study, slot: int, around: Neighbourhood) -> tuple[Piece, ...]:
    """What is compared for a block: its neighbourhood with each operator, the teacher's first; then the block alone."""
    ctx, batch = study.space.contexts[slot], study.config.batch
    (entry,) = around.graph.graph.find_nodes(op="placeholder")
    shape = tuple(map(int, g.shape(entry)[1:]))
    own = _piece(study, lambda: around.graph, shape)
    others = [_piece(study, partial(holding, around, op, ctx, batch), shape) for op in study.space.slots[slot].ops[1:]]
    return own, *others, _piece(study, lambda: around.alone, ctx.shape)


def _piece(study: BaseStudy, make: Callable[[], fx.GraphModule], shape: Sequence[int]) -> Piece:
    """A graph in the IR, compiled when it is its turn, that reads images of a shape (C, H, W)."""
    config = study.config
    return Piece(
        lambda: compile(captured_graph(make()), target=study.target, power_mode=config.power_mode, verify=False).onnx,
        (config.batch, *shape),
    )
