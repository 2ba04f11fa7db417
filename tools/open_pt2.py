"""Load a .pt2 archive through a copy in memory that holds only what was checked."""

import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch.export import ExportedProgram
from torch.export.pt2_archive import PT2ArchiveWriter
from torch.serialization import get_unsafe_globals_in_checkpoint

from nascc.runtime.archive import Archive, open_archive
from nascc.runtime.archive_pt2 import WAYS_OUT, Pt2Contents, inspect_pt2
from nascc.runtime.errors import UnsafeFile
from nascc.tools.errors import CommandError, one_line


def open_pt2(path: Path, *, allow_pickle: bool = False) -> tuple[ExportedProgram, tuple[str, ...]]:
    """The exported program of a .pt2 archive, on the CPU, and warnings about how it was opened.

    Raises CorruptFile, UnsafeFile (also when sample inputs or pickled tensors do not load with weights_only=True), or
    CommandError (exit 3) when torch can not load it. `allow_pickle` skips the checks: torch then runs whatever the
    archive brings along.
    """
    if allow_pickle:
        with path.open("rb") as file:
            return _load(path, file), ()
    with open_archive(path) as archive:
        contents = inspect_pt2(archive)
        program = _load(path, _rewritten(archive, contents))
    moved = [f"'{path}' was exported on {name}; it is opened on the CPU" for name in contents.devices]
    return program, tuple(moved)


def _rewritten(archive: Archive, contents: Pt2Contents) -> BinaryIO:
    """An archive of the checked parts, in memory; what was pickled is loaded with weights_only=True and saved anew."""
    buffer = io.BytesIO()
    with PT2ArchiveWriter(buffer) as writer:
        for name, value in {"models/model.json": contents.program, **contents.configs}.items():
            writer.write_bytes(name, json.dumps(value).encode())
        for name, member in contents.raw.items():
            writer.write_bytes(name, archive.read(member))
        for name, member in contents.pickled.items():
            writer.write_bytes(name, _plain_tensors(archive, member))
        if (samples := "data/sample_inputs/model.pt") not in contents.pickled:
            writer.write_bytes(samples, b"")
    buffer.seek(0)
    return buffer


def _plain_tensors(archive: Archive, member: str) -> bytes:
    """The pickle of `member`, written anew from what torch.load(weights_only=True) makes of it."""
    pickle = archive.read(member)
    try:
        value = torch.load(io.BytesIO(pickle), weights_only=True, map_location="cpu")
    except Exception as error:
        raise UnsafeFile(
            f"'{member}' in '{archive.path}' must load with weights_only=True, "
            f"found a pickle that {_foreign_to(pickle) or one_line(error)}; {WAYS_OUT}"
        ) from error
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _foreign_to(pickle: bytes) -> str:
    """What a pickle imports that weights do not need, as torch sees it; '' where torch can not tell."""
    with suppress(Exception):
        return ", ".join(f"imports '{name}'" for name in get_unsafe_globals_in_checkpoint(io.BytesIO(pickle))[:3])
    return ""


def _load(path: Path, file: BinaryIO) -> ExportedProgram:
    try:
        with _quiet():
            return torch.export.load(file)
    except Exception as error:
        raise CommandError(
            f"'{path}' must be an exported program that torch {torch.__version__} can load, but: {one_line(error)}; "
            "export the module again with this version of torch",
            exit_code=3,
        ) from error


@contextmanager
def _quiet() -> Iterator[Any]:
    """torch logs, with tracebacks, what it raises anyway."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
