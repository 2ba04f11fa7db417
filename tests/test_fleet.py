"""Several boards: work is shared, each board counts by its anchor, one that goes away is retired."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from nascc.runtime.distribution import Distribution
from nascc.runtime.errors import DeviceUnreachable, RunnerFailed, UnstableMachine
from nascc.runtime.measure import Timing, Timings
from nascc.runtime.remote.address import Address
from nascc.runtime.remote.fleet import Fleet, Job, Measured

BOARDS = (Address("one"), Address("two"), Address("three"))


def timing(ms: float) -> Timing:
    found = Distribution.of([ms] * 3)
    return Timing(found, found, (ms,) * 3)


class StandInBoard:
    """A stand-in for a board: slower or faster than others, and it may fail."""

    def __init__(self, speed: float, fails_after: float = float("inf"), error: Exception | None = None) -> None:
        self.speed, self.left, self.forgotten = speed, fails_after, 0
        self.error = error or DeviceUnreachable("the link was lost")

    def measure(self, paths: Sequence[Path], shapes: Any = None, *, rounds: int | None = None, **_: Any) -> Timings:
        if self.left <= 0:
            raise self.error
        self.left -= 1
        time.sleep(0.002)
        content = float(paths[0].read_bytes())
        return Timings((timing(content * self.speed),), timing(0.5 * self.speed), 0.0, "GPU", 1)

    def forget(self) -> None:
        self.forgotten += 1


def fleet(boards: dict[str, StandInBoard | Exception]) -> Fleet:
    @contextmanager
    def open_one(address: Address) -> Iterator[Any]:
        board = boards[address.host]
        if isinstance(board, Exception):
            raise board
        yield board

    return Fleet([a for a in BOARDS if a.host in boards], open_one)


def jobs(count: int) -> list[Job]:
    return [Job(k, lambda k=k: str(k + 1).encode()) for k in range(count)]  # type: ignore[misc]


def test_work_is_shared_and_normalised() -> None:
    found: list[Measured] = []
    boards = {"one": StandInBoard(1.0), "two": StandInBoard(3.0)}
    made = fleet(dict(boards))
    made.measure(jobs(40), found.append)
    assert sorted(m.number for m in found) == list(range(40)) and {m.board for m in found} == {"ssh://one", "ssh://two"}
    assert all(m.ratio == pytest.approx((m.number + 1) / 0.5) for m in found), "the anchor takes the speed out"
    assert made.retired == [] and sum(b.forgotten for b in boards.values()) == 40


def test_a_board_that_goes_away_is_retired_and_its_work_redone() -> None:
    found: list[Measured] = []
    made = fleet({"one": StandInBoard(1.0), "two": StandInBoard(1.0, 3), "three": DeviceUnreachable("no route")})
    made.measure(jobs(30), found.append)
    assert sorted(m.number for m in found) == list(range(30))
    assert {r.board: r.reason for r in made.retired} == {"ssh://two": "the link was lost", "ssh://three": "no route"}


def test_with_no_board_left_what_was_measured_is_kept() -> None:
    found: list[Measured] = []
    made = fleet({"one": StandInBoard(1.0, 4), "two": StandInBoard(1.0, 3)})
    with pytest.raises(DeviceUnreachable, match="a board must be left to measure 13 more networks, but ssh://"):
        made.measure(jobs(20), found.append)
    assert len({m.number for m in found}) == 7


def test_a_moment_of_unrest_does_not_retire_a_board() -> None:
    class Restless(StandInBoard):
        def measure(self, paths: Sequence[Path], shapes: Any = None, **given: Any) -> Timings:
            self.tries = getattr(self, "tries", 0) + 1
            if self.tries % 3:
                raise UnstableMachine("drifted")
            return super().measure(paths, shapes, **given)

    found: list[Measured] = []
    made = fleet({"one": Restless(1.0)})
    made.measure(jobs(5), found.append)
    assert len(found) == 5 and not made.retired


def test_a_network_that_does_not_run_ends_all() -> None:
    made = fleet({"one": StandInBoard(1.0, 2, RunnerFailed("no such operator")), "two": StandInBoard(1.0)})
    with pytest.raises(RunnerFailed, match="no such operator"):
        made.measure(jobs(500), lambda found: None)
    assert threading.active_count() < 20


def test_what_hears_of_results_may_fail() -> None:
    def full(found: Measured) -> None:
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        fleet({"one": StandInBoard(1.0)}).measure(jobs(3), full)
