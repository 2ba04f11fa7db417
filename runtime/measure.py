"""Measure honestly: warm, in pairs, against an anchor that tells whether the machine stayed the same."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from nascc.runtime.distribution import Distribution, Ratio, paired_ratio
from nascc.runtime.errors import UnstableMachine
from nascc.runtime.remote.program.sampling import Run as Run
from nascc.runtime.remote.program.sampling import Sample, sample

Samples = Sequence[Sequence[Sequence[Sample]]]
"""[network][round][run]: (counted, wall) milliseconds."""
ROUNDS, DRIFT_PERCENT, ATTEMPTS = 50, 10.0, 3


@dataclass(frozen=True)
class Timing:
    """What was measured of one network.

    `least_ms` is the fastest run of each round. `wall` is by the wall clock, `spent` the time that counts (see
    `Timings`).
    """

    spent: Distribution
    wall: Distribution
    least_ms: tuple[float, ...]


@dataclass(frozen=True)
class Timings:
    """Networks measured together, and the anchor with them.

    `clock` is "processor" where a single thread was timed by the processor time that it took, which leaves out what
    else the machine did meanwhile and is the wall-clock time of an idle machine; else "wall". `drift_percent` says how
    much slower the anchor was in the last rounds than in the first.
    """

    timings: tuple[Timing, ...]
    anchor: Timing
    drift_percent: float
    clock: str
    threads: int

    def ratio(self, index: int, other: int) -> Ratio:
        """How much longer network `index` takes than network `other`, from the fastest runs of each round."""
        return paired_ratio(self.timings[index].least_ms, self.timings[other].least_ms)

    def per_anchor(self, index: int) -> Ratio:
        """The latency of a network in latencies of the anchor: what is the same when the machine is slowed down."""
        return paired_ratio(self.timings[index].least_ms, self.anchor.least_ms)

    @property
    def was_busy(self) -> bool:
        """Did runs wait for the processor while something else had it?"""
        return any(t.wall.median_ms > 1.1 * t.spent.median_ms for t in self.timings)


def measure(
    runs: Sequence[Run],
    anchor: Run,
    *,
    rounds: int = ROUNDS,
    threads: int = 1,
    drift_percent: float | None = None,
    clock: Callable[[], float] | None = None,
) -> Timings:
    """Measure networks in `rounds` rounds, each of them and the anchor once a round, in an order that alternates.

    A network is run a few times at a stretch; the first run, for which caches are cold, does not count. Raises
    UnstableMachine when the anchor drifted by more than `drift_percent` (10) three times in a row. `clock` replaces
    the clock that counts.
    """
    counts = clock or (time.thread_time if threads == 1 else time.perf_counter)
    return steady(
        lambda: sample([anchor, *runs], rounds, counts),
        clock="processor" if threads == 1 else "wall",
        threads=threads,
        drift_percent=drift_percent,
    )


def steady(take: Callable[[], Samples], *, clock: str, threads: int, drift_percent: float | None = None) -> Timings:
    """Timings of samples, taken until the anchor (the first network) holds still. Raises UnstableMachine."""
    limit = DRIFT_PERCENT if drift_percent is None else drift_percent
    for _ in range(ATTEMPTS):
        found = [_timing(visits) for visits in take()]
        drift = _drift(found[0].least_ms)
        if abs(drift) <= limit:
            return Timings(tuple(found[1:]), found[0], drift, clock, threads)
    raise UnstableMachine(
        f"a fixed network must take the same time in the end as in the beginning (within {limit:g} %), but "
        f"the last of {ATTEMPTS} attempts drifted by {drift:+.0f} %; "
        "stop what else runs, fix the clocks, or use fewer threads"
    )


def _timing(visits: Sequence[Sequence[Sample]]) -> Timing:
    counted, wall = zip(*(sample for visit in visits for sample in visit), strict=True)
    least = tuple(min(spent for spent, _ in visit) for visit in visits)
    return Timing(Distribution.of(counted), Distribution.of(wall), least)


def _drift(least_ms: Sequence[float]) -> float:
    """Percent by which the last third of the rounds was slower than the first."""
    edge = max(len(least_ms) // 3, 1)
    return (median(least_ms[-edge:]) / median(least_ms[:edge]) - 1) * 100
