"""The journal of a run: one JSON object a line, without times, so that a resumed run ends with the same bytes."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nascc.nas.errors import CorruptRun
from nascc.nas.run.files import to_json, write_all

Line = dict[str, Any]


class Journal:
    """Appends lines, each in one write; nothing is kept back in a buffer.

    A phase that is resumed starts over and writes again what it wrote before its loops: between `replay` and the end
    of the file each line that is written stands for the one that is there, which stays.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._replayed: int | None = None

    def write(self, phase: str, step: int | None = None, **values: object) -> None:
        """Put down what is known of `phase` at `step`. A name that Python reserves ends with _: `lambda_=1`."""
        line: dict[str, object] = {"phase": phase}
        if step is not None:
            line["step"] = step
        text = to_json(line | plain_names(values)).encode() + b"\n"
        if self._replayed is None:
            write_all(self._open(), text)
        else:
            self.skip_to(self._line_end(self._replayed))

    @property
    def position(self) -> int:
        """The bytes before the next line: what `rewind` and `replay` take."""
        return os.fstat(self._open()).st_size if self._replayed is None else self._replayed

    def rewind(self, position: int) -> None:
        """Drop everything after the first `position` bytes. Raises CorruptRun when there are fewer."""
        self._require(position)
        os.ftruncate(self._open(), position)
        self._replayed = None

    def replay(self, position: int) -> None:
        """Let lines written from now on stand for those after the first `position` bytes. Raises CorruptRun."""
        size = self._require(position)
        self._replayed = position if position < size else None

    def skip_to(self, position: int) -> None:
        """While replaying: go on after the first `position` bytes, as a loop whose state was saved then."""
        if self._replayed is not None and position > self._replayed:
            self.replay(position)

    def sync(self) -> None:
        """Put it on the disk."""
        os.fsync(self._open())

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _require(self, position: int) -> int:
        if (size := os.fstat(self._open()).st_size) < position:
            raise CorruptRun(
                f"'{self.path}' must have the {position} bytes that the saved state was made after, found {size}; "
                "restore it, or start anew"
            )
        return size

    def _line_end(self, position: int) -> int:
        with self.path.open("rb") as file:
            file.seek(position)
            return position + len(file.readline())

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        return self._descriptor


def read_lines(path: Path) -> tuple[Line, ...]:
    """Every line of a journal, none where there is no file; a last line that is still being written is left out.

    Raises CorruptRun.
    """
    *whole, _ = path.read_bytes().split(b"\n") if path.exists() else [b""]
    return tuple(_parsed(path, number, text) for number, text in enumerate(whole, start=1))


def plain_names(values: Mapping[str, object]) -> dict[str, object]:
    """`values` with the underscores gone that keep names apart from Python's own words."""
    return {name.removesuffix("_"): value for name, value in values.items()}


def _parsed(path: Path, number: int, text: bytes) -> Line:
    try:
        line = json.loads(text)
    except ValueError as error:
        raise CorruptRun(f"line {number} of '{path}' must be a JSON object, but it is damaged: {error}") from error
    if not isinstance(line, dict) or not isinstance(line.get("phase"), str):
        raise CorruptRun(f"line {number} of '{path}' must be a JSON object with a phase, found {text[:60]!r}")
    return line
