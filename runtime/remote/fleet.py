"""Several boards of one kind: networks are measured in parallel, and each board is normalised by the anchor."""

import contextlib
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from nascc.runtime.errors import DeviceBusy, DeviceFailed, DeviceUnreachable, UnstableMachine
from nascc.runtime.measure import Timings
from nascc.runtime.profile import Target
from nascc.runtime.remote.access import Access
from nascc.runtime.remote.address import Address
from nascc.runtime.remote.board import Board, open_board
from nascc.runtime.table import Precision

ROUNDS = 3
"""Of one network: enough as there are many, and less drifts away."""
RETRIES = 5
LOST = (DeviceUnreachable, DeviceFailed, DeviceBusy, UnstableMachine)


@dataclass(frozen=True)
class Job:
    """A network to be measured: `number` tells it, `emit` gives its ONNX model, serialised."""

    number: int
    emit: Callable[[], bytes]


@dataclass(frozen=True)
class Measured:
    """A network's latency in latencies of the anchor on the board that measured it, and the anchor's own there."""

    number: int
    ratio: float
    anchor_ms: float
    board: str


@dataclass(frozen=True)
class Retired:
    """A board that went away, and why; the work it had is done by others."""

    board: str
    reason: str


Open = Callable[[Address], AbstractContextManager[Board]]


class Fleet:
    """Boards that take work from one queue; `open_one` opens a board, a test may open others."""

    def __init__(self, addresses: Sequence[Address], open_one: Open) -> None:
        self.addresses = tuple(addresses)
        self.retired: list[Retired] = []
        self._open = open_one
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    @classmethod
    def of(cls, access: Access, target: Target, precision: Precision) -> "Fleet":
        """The boards of an access. Raises BadAddress."""
        return cls(access.parsed(), lambda address: open_board(access, target, address, precision=precision))

    def measure(self, jobs: Sequence[Job], done: Callable[[Measured], None]) -> None:
        """Measure every network once; `done` hears of each as soon as it is known, never twice at a time.

        A board that can not be reached, fails or does not hold still is retired and its network given to another.
        Raises DeviceUnreachable when none is left, and what else measuring raises; what `done` raises ends it, too.
        """
        queue = deque(jobs)
        self.retired, self._error = [], None
        with tempfile.TemporaryDirectory(prefix="nascc-") as folder:
            threads = [
                threading.Thread(target=self._work, args=(address, queue, done, Path(folder) / str(index)))
                for index, address in enumerate(self.addresses)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        if self._error is not None:
            raise self._error
        if queue:
            why = "; ".join(f"{r.board}: {r.reason}" for r in self.retired)
            raise DeviceUnreachable(f"a board must be left to measure {len(queue)} more networks, but {why}")

    def _work(self, address: Address, queue: "deque[Job]", done: Callable[[Measured], None], folder: Path) -> None:
        folder.mkdir()
        job: Job | None = None
        try:
            with self._open(address) as board:
                while (job := self._next(queue)) is not None:
                    found = _measured(board, job, folder, str(address))
                    with self._lock:
                        if self._error is None:
                            done(found)
                    job = None
        except LOST as error:
            with self._lock:
                self.retired.append(Retired(str(address), str(error)))
                if job is not None:
                    queue.appendleft(job)
        except BaseException as error:
            with self._lock:
                self._error = self._error or error

    def _next(self, queue: "deque[Job]") -> Job | None:
        with self._lock:
            return queue.popleft() if queue and self._error is None else None


def steadily(measure: Callable[[], Timings]) -> Timings:
    """Measure again where the anchor did not hold still: one moment of unrest must not end hours of measuring.

    Raises UnstableMachine after several times.
    """
    for _ in range(RETRIES):
        with contextlib.suppress(UnstableMachine):
            return measure()
    return measure()


def _measured(board: Board, job: Job, folder: Path, name: str) -> Measured:
    file = folder / "network.onnx"
    file.write_bytes(job.emit())
    found = steadily(lambda: board.measure([file], rounds=ROUNDS))
    board.forget()
    return Measured(job.number, found.per_anchor(0).value, found.anchor.spent.median_ms, name)
