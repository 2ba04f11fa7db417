"""States: what a loop needs to go on, as plain tensors and numbers in one file."""

import io
import math
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from nascc.nas.errors import CorruptRun, Diverged
from nascc.nas.run.files import write_whole

SCHEMA: Literal["nascc.state/1"] = "nascc.state/1"
State = dict[str, Any]
"""Tensors, numbers, strings and None in nested dicts, lists and tuples; what `state_dict()` gives."""


@dataclass(frozen=True)
class Saved:
    """A state, the number of steps done when it was saved, and the bytes the journal had then."""

    state: State
    step: int
    journal: int


def write_state(path: Path, saved: Saved) -> None:
    """Save by atomic rename; equal states give equal bytes.

    Raises Diverged when a tensor or number is not finite, TypeError for what is not plain, OSError.
    """
    content = {"schema": SCHEMA, "step": saved.step, "journal": saved.journal, "state": plain(saved.state)}
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_whole(path, buffer.getbuffer())


def read_state(path: Path) -> Saved | None:
    """What `write_state` wrote, tensors on the CPU; None where there is no file. Raises CorruptRun."""
    if not path.exists():
        return None
    try:
        _check_sums(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
        if found["schema"] != SCHEMA:
            raise ValueError(f"its schema is {found['schema']!r}, not '{SCHEMA}'")
        return Saved(found["state"], int(found["step"]), int(found["journal"]))
    except Exception as error:  # the reader of a damaged file fails in as many ways as there are files
        first = (str(error).splitlines() or ["no message"])[0][:160]
        raise CorruptRun(
            f"'{path}' must be a state that nascc saved, but: {type(error).__name__}: {first}; "
            "remove the file to repeat its phase from the start"
        ) from error


def plain(value: Any, where: str = "state") -> Any:
    """A copy that depends on the values alone: own containers, one object per equal string, tensors detached.

    Raises Diverged and TypeError, which name the place.
    """
    if isinstance(value, Tensor):
        return _finite_tensor(value, where)
    if isinstance(value, float) and math.isnan(value):
        raise Diverged(f"'{where}' must be a number, got NaN; the last good state is kept")
    if isinstance(value, str):
        return sys.intern(str(value))
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {plain(key, where): plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [plain(item, f"{where}.{index}") for index, item in enumerate(value)]
        return items if isinstance(value, list) else tuple(items)
    raise TypeError(
        f"'{where}' must be a tensor, a number, a string or a container of them, got {type(value).__name__}"
    )


def _finite_tensor(tensor: Tensor, where: str) -> Tensor:
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise Diverged(f"'{where}' must be finite, but it holds NaN or infinity; the last good state is kept")
    return tensor.detach().to("cpu", copy=True)


def _check_sums(path: Path) -> None:
    """torch reads over flipped bits, but the file is a zip archive with a checksum for each part."""
    with zipfile.ZipFile(path) as archive:
        if (broken := archive.testzip()) is not None:
            raise ValueError(f"the checksum of '{broken}' does not fit")
