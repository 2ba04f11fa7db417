"""What was measured on boards, network by network, in a file that any end leaves whole."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, TextIO

from nascc.runtime.remote.fleet import Job, Measured

JOURNAL = "measured.jsonl"
Told = Callable[[int, int], None]


class Pool(Protocol):
    """Whatever measures networks: a fleet of boards, or this machine."""

    def measure(self, jobs: Sequence[Job], done: Callable[[Measured], None]) -> None:
        """Measure every network once, telling each as soon as it is known."""


@dataclass(frozen=True)
class Measurements:
    """Those of one folder; a network is known by its number."""

    folder: Path

    def complete(self, jobs: Sequence[Job], pool: Pool, told: Told | None = None) -> None:
        """Measure what is not known; each is kept at once. Raises what measuring raises, OSError."""
        known = self.known()
        left = [job for job in jobs if job.number not in known]
        finished = len(jobs) - len(left)
        with _opened(self.folder / JOURNAL) as journal:

            def done(found: Measured) -> None:
                nonlocal finished
                journal.write(json.dumps(asdict(found)) + "\n")
                journal.flush()
                finished += 1
                if told is not None:
                    told(finished, len(jobs))

            pool.measure(left, done)

    def known(self) -> dict[int, Measured]:
        """What there is; a line that a kill cut short counts as none."""
        return {found.number: found for found in _lines(self.folder / JOURNAL)}

    @property
    def anchor_ms(self) -> float | None:
        """What the anchor took on the board of the first network, to which all others are brought; None without any."""
        known = self.known()
        return known[min(known)].anchor_ms if known else None


def _opened(path: Path) -> TextIO:
    """The journal, to be written on; a line that a kill cut short is ended, so that the next one stands alone."""
    journal = path.open("a+", encoding="utf-8")
    if journal.tell():
        text = path.read_text("utf-8")
        if not text.endswith("\n"):
            journal.write("\n")
    return journal


def _lines(path: Path) -> Iterator[Measured]:
    if not path.exists():
        return
    for line in path.read_text("utf-8").splitlines():
        try:
            yield Measured(**json.loads(line))
        except (ValueError, TypeError):
            continue
