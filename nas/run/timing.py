"""How long phases took, in a file of its own: times differ between runs, the journal must not."""

import time
from collections.abc import Callable
from pathlib import Path

from nascc.nas.errors import CorruptRun
from nascc.nas.run.journal import Journal, read_lines


class Timing:
    """Adds up the time of each phase over all sessions, up to the last state saved before a kill."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._journal, self._clock = Journal(path), clock
        self._since = clock()

    def start(self) -> None:
        """Time counts from now on; half a line that a kill left is dropped."""
        path = self._journal.path
        content = path.read_bytes() if path.exists() else b""
        self._journal.rewind(content.rfind(b"\n") + 1)
        self._since = self._clock()

    def lap(self, phase: str, steps: int = 0) -> None:
        """Put down the time since the last lap, in which `steps` steps were done."""
        now = self._clock()
        self._journal.write(phase, steps=steps, seconds=round(now - self._since, 3))
        self._since = now

    def close(self) -> None:
        """Close the file."""
        self._journal.close()


def seconds_per_phase(path: Path) -> dict[str, float]:
    """The seconds that each phase has taken. Raises CorruptRun."""
    totals: dict[str, float] = {}
    for line in read_lines(path):
        try:
            totals[line["phase"]] = totals.get(line["phase"], 0.0) + float(line["seconds"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorruptRun(f"every line of '{path}' must have a phase and seconds, found {line}") from error
    return totals
