"""Latencies taken in onnxruntime on this machine: of every block between neighbours, and of whole networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import thread_time

import numpy as np
from onnx import ModelProto
from torch import Tensor, fx, nn

from nascc.compiler.capture import captured_graph
from nascc.compiler.compile import compile
from nascc.compiler.measured_cost import least_seconds, session_run
from nascc.nas.core import Ctx
from nascc.nas.costs.random_weights import randomise
from nascc.nas.hant.costing import Costs
from nascc.nas.hant.goals import LATENCY
from nascc.nas.hant.study import Study
from nascc.nas.pool import IDENTITY
from nascc.nas.regions.norms import with_norms
from nascc.passes import demote

ROUNDS, WHOLE_ROUNDS, SESSIONS, THREADS = 20, 60, 4, 1
LEAST_MS = 1e-6


@dataclass(frozen=True)
class Whole:
    """Milliseconds of networks that were run in turn, one thread; the fastest of all rounds."""

    milliseconds: tuple[float, ...]


def measured_costs(study: Study) -> Costs:
    """The latency of every operator in its place, in ms of one batch: what it adds between two 1x1 convolutions.

    What is run together is run in turn, the fastest run counts, in processor time of one thread. The constant is what
    the whole teacher takes besides its blocks. Raises CompileError.
    """
    known: dict[tuple[str, Ctx], float] = {}
    rows = []
    for slot, row in enumerate(study.space.slots):
        ctx = study.space.contexts[slot]
        new = [op for op in row.ops[1:] if (op.name, ctx) not in known and op.name != IDENTITY]
        block = with_norms(demote(study.teacher.region(slot, study.config.batch)))
        modules = [block, *(randomise(op.make(ctx)) for op in new)]
        own, *others = _added(study, ctx, modules)
        known.update({(op.name, ctx): value for op, value in zip(new, others, strict=True)})
        rows.append((own, *(0.0 if op.name == IDENTITY else known[op.name, ctx] for op in row.ops[1:])))
    (teacher,) = measured_whole(study, [study.teacher.at_batch(study.config.batch)]).milliseconds
    return Costs(LATENCY, tuple(rows), teacher - sum(row[0] for row in rows), teacher)


def measured_whole(study: Study, graphs: Sequence[fx.GraphModule]) -> Whole:
    """What graphs in the IR take, compiled, run in turn. Raises CompileError.

    Sessions are made anew a few times, because where one happens to lie in memory changes its speed.
    """
    models = [compile(captured_graph(graph), target=study.target, verify=False).onnx for graph in graphs]
    shape = (study.config.batch, *study.config.image)
    taken = [_milliseconds(models, shape, WHOLE_ROUNDS // SESSIONS) for _ in range(SESSIONS)]
    return Whole(tuple(map(min, zip(*taken, strict=True))))


def _added(study: Study, ctx: Ctx, modules: Sequence[nn.Module]) -> list[float]:
    """What each module adds between neighbours, in ms."""
    before, after = _neighbour(ctx.c_in), _neighbour(ctx.c_out)
    shape, out_shape = ctx.shape, ctx.out_shape
    around = [nn.Sequential(before, after)] if ctx.keeps_shape else [before, after]
    inputs = [shape] if ctx.keeps_shape else [shape, out_shape]
    models = [_model(study, nn.Sequential(before, m, after), shape) for m in modules]
    alone = [_model(study, m, s) for m, s in zip(around, inputs, strict=True)]
    batch = study.config.batch
    base = sum(_milliseconds([m], (batch, *s), ROUNDS)[0] for m, s in zip(alone[1:], inputs[1:], strict=True))
    first, *taken = _milliseconds([alone[0], *models], (batch, *shape), ROUNDS)
    return [max(ms - first - base, LEAST_MS) for ms in taken]


def _model(study: Study, module: nn.Module, shape: tuple[int, int, int]) -> ModelProto:
    text = "x".join(map(str, (study.config.batch, *shape)))
    return compile(module.eval(), shapes=[f"x:{text}"], target=study.target, verify=False).onnx


def _milliseconds(models: Sequence[ModelProto], shape: tuple[int, ...], rounds: int) -> list[float]:
    feed = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    runs = [session_run(model, {model.graph.input[0].name: feed}, THREADS) for model in models]
    return [1e3 * s for s in least_seconds(runs, rounds, thread_time)]


class _Neighbour(nn.Module):
    """A 1x1 convolution and a ReLU: what stands on either side in most networks."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.conv(x))


def _neighbour(channels: int) -> nn.Module:
    return randomise(_Neighbour(channels))
