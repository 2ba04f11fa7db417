"""Latencies that are taken and not estimated: of every block between neighbours, and of the whole teacher."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from onnx import ModelProto
from torch import Tensor, fx, nn

from nascc.compiler.capture import captured_graph
from nascc.compiler.compile import compile
from nascc.nas.core import Ctx, Op
from nascc.nas.costs.random_weights import randomise
from nascc.nas.hant.costing import Costs
from nascc.nas.hant.goals import LATENCY
from nascc.nas.hant.study import Study
from nascc.nas.pool import IDENTITY
from nascc.nas.regions.norms import with_norms
from nascc.passes import demote

LEAST_MS = 1e-6


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
    """The latency of every operator in its place, in ms of one batch: what it adds between two 1x1 convolutions.

    The constant is what the whole teacher takes besides its blocks. Raises CompileError, and what measuring raises.
    """
    plan = list(_planned(study))
    groups = [group for planned in plan for group in planned.groups]
    taken, teacher = meter.profile(groups, whole(study, study.teacher.at_batch(study.config.batch)))
    results, rows, known = iter(taken), [], dict[tuple[str, Ctx], float]()
    for slot, planned in enumerate(plan):
        own, *others = _added([next(results) for _ in planned.groups])
        ctx, row = study.space.contexts[slot], study.space.slots[slot]
        known.update({(op.name, ctx): value for op, value in zip(planned.new, others, strict=True)})
        rows.append((own, *(0.0 if op.name == IDENTITY else known[op.name, ctx] for op in row.ops[1:])))
    return Costs(LATENCY, tuple(rows), teacher - sum(row[0] for row in rows), teacher)


def measured_student(study: Study, meter: Meter, graph: fx.GraphModule, teacher_ms: float) -> float:
    """What a student's graph in the IR takes, compiled, in ms. Raises CompileError, and what measuring raises."""
    teacher = study.teacher.at_batch(study.config.batch)
    return meter.student(whole(study, graph), whole(study, teacher), teacher_ms)


def whole(study: Study, graph: fx.GraphModule) -> Piece:
    """A graph in the IR of a whole network."""
    config = study.config
    return Piece(
        lambda: compile(captured_graph(graph), target=study.target, power_mode=config.power_mode, verify=False).onnx,
        (config.batch, *config.image),
    )


@dataclass(frozen=True)
class _Planned:
    """What is measured for a slot: the neighbours alone, the teacher's block and new operators between them.

    Where shapes change, neighbours can not be joined: the second one, and nothing at all, are groups of their own.
    """

    new: tuple[Op, ...]
    groups: tuple[tuple[Piece, ...], ...]


def _planned(study: Study) -> Iterator[_Planned]:
    """Of every slot in order; an operator is measured once where the shapes are the same."""
    seen = set[tuple[str, Ctx]]()
    for slot, row in enumerate(study.space.slots):
        ctx = study.space.contexts[slot]
        new = tuple(op for op in row.ops[1:] if (op.name, ctx) not in seen and op.name != IDENTITY)
        seen |= {(op.name, ctx) for op in new}
        yield _Planned(new, _groups(study, ctx, [_block(study, slot), *(_fresh(op, ctx) for op in new)]))


def _block(study: Study, slot: int) -> Callable[[], nn.Module]:
    return lambda: with_norms(demote(study.teacher.region(slot, study.config.batch)))


def _fresh(op: Op, ctx: Ctx) -> Callable[[], nn.Module]:
    return lambda: randomise(op.make(ctx))


def _groups(study: Study, ctx: Ctx, blocks: Sequence[Callable[[], nn.Module]]) -> tuple[tuple[Piece, ...], ...]:
    before, after = _neighbour(ctx.c_in), _neighbour(ctx.c_out)
    between = tuple(_piece(study, ctx.shape, before, block, after) for block in blocks)
    if ctx.keeps_shape:
        return ((_piece(study, ctx.shape, before, after), *between),)
    nothing = _piece(study, (1, 1, 1), _neighbour(1))
    return (_piece(study, ctx.shape, before), *between), (_piece(study, ctx.out_shape, after),), (nothing,)


def _added(taken: Sequence[Sequence[float]]) -> list[float]:
    """What each block adds between its neighbours, in ms.

    Neighbours that stand apart are two calls: what a call of nothing takes must not count twice.
    """
    (first, *between), *apart = taken
    neighbours = first
    if apart:
        ((second,), (nothing,)) = apart
        neighbours += second - nothing
    return [max(ms - neighbours, LEAST_MS) for ms in between]


def _piece(study: Study, shape: tuple[int, int, int], *parts: Callable[[], nn.Module]) -> Piece:
    """Parts after one another."""
    given = (study.config.batch, *shape)
    text = "x".join(map(str, given))
    return Piece(
        lambda: (
            compile(
                nn.Sequential(*(part() for part in parts)).eval(),
                shapes=[f"x:{text}"],
                target=study.target,
                power_mode=study.config.power_mode,
                verify=False,
            ).onnx
        ),
        given,
    )


class _Neighbour(nn.Module):
    """A 1x1 convolution and a ReLU: what stands on either side in most networks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.conv(x))


def _neighbour(channels: int) -> Callable[[], nn.Module]:
    return lambda: randomise(_Neighbour(channels))
