"""What a run would take: a few steps of each phase timed here."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from nascc.nas.core import Method
from nascc.nas.run import RunDirectory, hours_per_phase

STEPS = 20


@dataclass(frozen=True)
class Timed:
    """A step that can be repeated, and how many of it the phase takes; `index` counts from 0."""

    step: Callable[[int], Any]
    total: int


@runtime_checkable
class Rehearsed(Protocol):
    """A phase that can tell how long it will take."""

    name: str

    def rehearse(self, run: RunDirectory) -> Mapping[str, Timed]:
        """Its loops by name, over a profile that is there; nothing is saved."""


def hours(method: Method, run: RunDirectory, steps: int = STEPS) -> dict[str, float]:
    """Hours of every phase that can tell, from `steps` timed steps each."""
    seconds: dict[str, list[float]] = {}
    totals: dict[str, int] = {}
    for phase in method:
        if isinstance(phase, Rehearsed):
            for name, timed in phase.rehearse(run).items():
                seconds[name] = [_time(timed, index) for index in range(min(steps, timed.total))]
                totals[name] = timed.total
    return hours_per_phase(seconds, totals)


def _time(timed: Timed, index: int) -> float:
    started = time.perf_counter()
    timed.step(index)
    return time.perf_counter() - started
