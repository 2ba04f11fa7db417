"""The places where a compression takes latencies: onnxruntime on this machine, or boards."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import median
from threading import Lock
from time import thread_time

import numpy as np
from onnx import ModelProto

from nascc.compiler.measured_cost import least_seconds, session_run
from nascc.nas.hant.measured import Meter, Piece
from nascc.nas.phases.board import TIMES, Scale
from nascc.nas.phases.goals import PROFILE
from nascc.nas.phases.study import Study
from nascc.nas.run import RunDirectory
from nascc.runtime.remote.fleet import Job

ROUNDS, SESSIONS, THREADS = 60, 4, 1


def meter_of(run: RunDirectory, study: Study) -> Meter:
    """Where the run measures."""
    if study.config.device is None:
        return Here()
    return Boards(run, Scale(study.problem, run.phase_folder(PROFILE)))


class Here:
    """What is run together is run in turn, the fastest run counts, in processor time of one thread."""

    def profile(self, groups: Sequence[Sequence[Piece]], teacher: Piece) -> tuple[list[list[float]], float]:
        """As `Meter` says. Raises CompileError."""
        taken = [_milliseconds([(piece.make(), piece.shape) for piece in group], ROUNDS) for group in groups]
        return taken, _whole([teacher])[0]

    def student(self, student: Piece, teacher: Piece, teacher_ms: float) -> float:
        """Beside the teacher, because the machine may be another one by now. Raises CompileError."""
        own, beside = _whole([student, teacher])
        return own / beside * teacher_ms


@dataclass(frozen=True)
class Boards:
    """Boards are compared by their anchor; what a profile that was cut off has measured is not measured again."""

    run: RunDirectory
    scale: Scale
    _compiling: Lock = field(default_factory=Lock)
    """Boards take turns in having their next model compiled."""

    def profile(self, groups: Sequence[Sequence[Piece]], teacher: Piece) -> tuple[list[list[float]], float]:
        """As `Meter` says, the teacher several times. Raises CompileError, and what measuring raises."""
        emits = [self._emitted(piece) for group in groups for piece in group] + [cache(self._emitted(teacher))] * TIMES
        jobs = [Job(number, emit) for number, emit in enumerate(emits)]
        measurements = self.scale.measurements
        measurements.complete(
            jobs, self.scale.fleet, lambda done, total: self.run.progress.update(PROFILE, done, total)
        )
        known, anchor_ms = measurements.known(), measurements.anchor_ms or 1.0
        taken = iter([known[job.number].ratio * anchor_ms for job in jobs])
        return [[next(taken) for _ in group] for group in groups], median(taken)

    def student(self, student: Piece, teacher: Piece, teacher_ms: float) -> float:
        """The anchor stands for the teacher. Raises CompileError, and what measuring raises."""
        return self.scale.ms(cache(self._emitted(student)))

    def _emitted(self, piece: Piece) -> Callable[[], bytes]:
        def emit() -> bytes:
            with self._compiling:
                return bytes(piece.make().SerializeToString())

        return emit


def _whole(pieces: Sequence[Piece]) -> list[float]:
    """Sessions are made anew a few times, because where one happens to lie in memory changes its speed."""
    models = [(piece.make(), piece.shape) for piece in pieces]
    taken = [_milliseconds(models, ROUNDS // SESSIONS) for _ in range(SESSIONS)]
    return list(map(min, zip(*taken, strict=True)))


def _milliseconds(models: Sequence[tuple[ModelProto, tuple[int, ...]]], rounds: int) -> list[float]:
    """Of models with the shapes of their inputs."""
    random = np.random.default_rng(0)
    runs = [
        session_run(model, {model.graph.input[0].name: random.standard_normal(shape).astype(np.float32)}, THREADS)
        for model, shape in models
    ]
    return [1e3 * s for s in least_seconds(runs, rounds, thread_time)]
