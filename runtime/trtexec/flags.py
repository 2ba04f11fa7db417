"""Which flags the trtexec of each version of TensorRT knows; `README.md` beside the table names the documentation."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from nascc.runtime.errors import RuntimeTargetError
from nascc.runtime.trtexec.version import numbers

YES, DEPRECATED, LATER = "Y", "D", "L"


@dataclass(frozen=True)
class Flag:
    """A flag, whether a value follows it, and its cell of the table: YES, DEPRECATED, LATER or empty."""

    name: str
    takes_value: bool
    state: str


@dataclass(frozen=True)
class Flags:
    """The flags of the column of the table that a version belongs to."""

    version: str
    column: str
    known: dict[str, Flag]

    def has(self, name: str) -> bool:
        """Is the flag good to use: accepted by every release of the line, and not deprecated?"""
        return name in self.known and self.known[name].state == YES

    def first(self, *names: str) -> str | None:
        """The first of several flags that is good to use."""
        return next((name for name in names if self.has(name)), None)

    def problems(self, words: Sequence[str]) -> list[str]:
        """What is wrong with the words of a command line (without the program), one sentence each.

        LATER flags count as known: the program may be of any release of the line.
        """
        return [problem for word in words if (problem := self._problem(word)) is not None]

    def _problem(self, word: str) -> str | None:
        name, equals, value = word.partition("=")
        flag = self.known.get(name)
        if flag is None or not flag.state:
            return f"Unknown option: {word}"
        if flag.takes_value and not (equals and value):
            return f"{name} must have a value, as {name}=value"
        if not flag.takes_value and equals:
            return f"{name} takes no value, got '{value}'"
        return None


@cache
def columns() -> tuple[str, ...]:
    """The columns of the table, oldest first."""
    return tuple(_rows()[0])[2:]


def flags_of(version: str) -> Flags:
    """The flags of a version such as '8.2.1': those of the newest column at or below it.

    Raises RuntimeTargetError for versions before the first column.
    """
    below = [c for c in columns() if numbers(c) <= numbers(version)]
    if not below:
        raise RuntimeTargetError(f"TensorRT must be {columns()[0]} or newer to be used through trtexec, got {version}")
    column = below[-1]
    known = {row["flag"]: Flag(row["flag"], row["takes"] == "value", row[column]) for row in _rows()}
    return Flags(version, column, known)


@cache
def _rows() -> list[dict[str, str]]:
    text = (resources.files("nascc.runtime.trtexec") / "flags.csv").read_text("utf-8")
    return list(csv.DictReader(io.StringIO(text)))
