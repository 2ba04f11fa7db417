"""Write files so that each appears whole or not at all, even when the process or the machine stops meanwhile."""

import errno
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from nascc.nas.errors import CorruptRun

TEMPORARY = ".nascc-tmp"
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Put `content` at `path`: on the disk under a temporary name first, then renamed. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb", buffering=0) as file:
            write_all(file.fileno(), content)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Write all of `content`, also where the system takes it in parts. Raises OSError."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def remove_temporaries(folder: Path) -> None:
    """Remove what a killed process left half-written."""
    for leftover in list(folder.rglob(f".*{TEMPORARY}")):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)


def to_json(value: object, *, indent: int | None = None) -> str:
    """`value` as JSON: tensors become numbers and lists, infinities and NaN the strings 'Infinity' and 'NaN'.

    Raises TypeError for what has no JSON form.
    """
    return json.dumps(_jsonable(value), indent=indent, allow_nan=False, ensure_ascii=False)


def read_json(path: Path) -> Any:
    """The document at `path`. Raises CorruptRun when it is missing or no JSON."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise CorruptRun(f"'{path}' must exist, but it is missing: the run directory is not complete") from error
    except ValueError as error:
        raise CorruptRun(f"'{path}' must be JSON that nascc wrote, but it is damaged: {error}") from error


def _jsonable(value: object) -> object:
    if isinstance(value, Tensor):
        return _jsonable(value.tolist())
    if isinstance(value, float) and value != value:
        return "NaN"
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    return value


def _sync_folder(folder: Path) -> None:
    """Make a rename outlast a power failure, where folders can be opened at all."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
