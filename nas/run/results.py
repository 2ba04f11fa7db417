"""Results of finished phases: one file that says that the phase is done, and where the journal stood."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from nascc.nas.errors import CorruptRun
from nascc.nas.run.files import read_json, to_json, write_whole

SCHEMA: Literal["nascc.result/1"] = "nascc.result/1"
NAME = "result.json"


@dataclass(frozen=True)
class Finished:
    """A phase that is done; `begins` and `ends` are the bytes of the journal before and after it."""

    phase: str
    begins: int
    ends: int
    result: dict[str, Any]


def write_result(folder: Path, finished: Finished) -> None:
    """Say that a phase is done. Raises OSError."""
    document: Mapping[str, object] = {"schema": SCHEMA} | asdict(finished)
    write_whole(folder / NAME, (to_json(document, indent=2) + "\n").encode())


def read_results(root: Path) -> tuple[Finished, ...]:
    """Every finished phase below `root`, in the order in which they ended. Raises CorruptRun."""
    found = [_read(path) for path in sorted(root.rglob(NAME))]
    return tuple(sorted(found, key=lambda finished: finished.ends))


def _read(path: Path) -> Finished:
    document = read_json(path)
    try:
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']!r}, not '{SCHEMA}'")
        return Finished(
            str(document["phase"]), int(document["begins"]), int(document["ends"]), dict(document["result"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptRun(
            f"'{path}' must be the result of a phase, but: {type(error).__name__}: {error}; "
            "remove the file to repeat the phase"
        ) from error
