"""A cost function that times operators in onnxruntime on this host."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from onnx import ModelProto

from nascc.compiler.operator_models import Array, example, neighbours_model, operator_model
from nascc.passes.linear.description import LinearOp

Run = Callable[[], None]
ANCHOR = LinearOp("conv", 64, 64, (28, 28), (28, 28), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), bias=True)
"""What every operator is timed against."""
BORDERS = ("add_map", "add_tile")
LEAST_MS = 1e-6


@dataclass(eq=False)
class MeasuredCost:
    """Milliseconds of operators, the sum over all of them; usable wherever a plan takes a cost.

    An operator is timed once, with its tail and between the neighbours it has in a network, whose own time is taken
    off. It runs interleaved with an anchor for `rounds` rounds, and the ratio of the fastest runs is what counts: that
    stays the same when something else slows the machine down. One anchor is worth the milliseconds it took the first
    time. A single thread is timed by the processor time it takes, several by the wall clock. Tests replace `load` and
    `clock`.
    """

    threads: int = 1
    rounds: int = 16
    load: Callable[[ModelProto, dict[str, Array], int], Run] = field(default_factory=lambda: session_run)
    clock: Callable[[], float] | None = None
    known_ms: dict[LinearOp, float] = field(default_factory=dict)
    _anchor: tuple[Run, float] | None = None

    def __call__(self, ops: tuple[LinearOp, ...]) -> float:
        return float(sum(self.milliseconds(op) for op in _as_they_run(ops)))

    def milliseconds(self, op: LinearOp) -> float:
        """Of one operator: measured the first time it is asked for, remembered from then on."""
        if op not in self.known_ms:
            self.known_ms[op] = self._measured(op)
        return self.known_ms[op]

    def _measured(self, op: LinearOp) -> float:
        anchor, anchor_ms = self._anchored()
        feed, around = example(op), neighbours_model(op)
        models = [operator_model(op)] + ([] if around is None else [around])
        runs = [anchor, *(self.load(model, feed, self.threads) for model in models)]
        reference, whole, *rest = least_seconds(runs, self.rounds, self._clock)
        return max((whole - sum(rest)) / reference * anchor_ms, LEAST_MS)

    @property
    def _clock(self) -> Callable[[], float]:
        return self.clock or (time.thread_time if self.threads == 1 else time.perf_counter)

    def _anchored(self) -> tuple[Run, float]:
        if self._anchor is None:
            run = self.load(operator_model(ANCHOR), example(ANCHOR), self.threads)
            self._anchor = run, 1e3 * least_seconds([run], self.rounds, self._clock)[0]
        return self._anchor


def _as_they_run(ops: tuple[LinearOp, ...]) -> tuple[LinearOp, ...]:
    """The operators with nothing counted twice: an addition that follows as an operator is no tail."""
    after = (*(op.kind for op in ops[1:]), "")
    return tuple(replace(op, tail=()) if kind in BORDERS else op for op, kind in zip(ops, after, strict=False))


def least_seconds(runs: Sequence[Run], rounds: int, clock: Callable[[], float]) -> list[float]:
    """The fastest of `rounds` runs of each, all of them once a round; one round before that is not counted."""
    least = [float("inf")] * len(runs)
    for counted in range(-1, rounds):
        for index, run in enumerate(runs):
            started = clock()
            run()
            if counted >= 0:
                least[index] = min(least[index], clock() - started)
    return least


def session_run(model: ModelProto, feed: dict[str, Array], threads: int) -> Run:
    """A call that runs the model once in onnxruntime, every optimisation on; idle threads of other sessions sleep."""
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, feed) and None
