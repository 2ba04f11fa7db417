"""One sentence for what torch.export could not do: where, why, and what to do."""

import traceback
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from nascc.compiler.errors import CaptureFailed, CompileError, UsageError

_INTERNAL = (str(Path(torch.__file__).parent), str(Path(__file__).parent), "<")
_DATA_DEPENDENT = ("data-dependent", "GuardOnDataDependent", "Could not guard")


def explained(
    error: Exception, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], dynamic: bool
) -> CompileError:
    """The error to raise: UsageError when the inputs or open sizes are at fault, CaptureFailed when the model is."""
    problem = _problem_in_eager(model, args, kwargs)
    if dynamic and (problem or not any(word in str(error) for word in _DATA_DEPENDENT)):
        return UsageError(
            f"the model must accept every size that --shapes leaves open, but with {_shapes(args, kwargs)} "
            f"{_told(problem or error)}; fix the sizes it can not vary"
        )
    if problem is not None:
        return UsageError(f"the model must run on inputs of shape {_shapes(args, kwargs)}, but {_told(problem)}")
    if any(word in str(error) for word in _DATA_DEPENDENT):
        return CaptureFailed(
            f"control flow must not depend on the values of the input, but {_told(error)}; "
            "use torch.where, torch.cond or a mask there"
        )
    return CaptureFailed(f"torch.export must be able to capture the model, but {_told(error)}")


def _shapes(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    values = pytree.tree_leaves((args, kwargs))
    return ", ".join("x".join(map(str, v.shape)) or "scalar" for v in values if isinstance(v, torch.Tensor))


def _problem_in_eager(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exception | None:
    """What the model itself raises on these inputs."""
    try:
        with torch.no_grad():
            model(*args, **kwargs)
    except Exception as error:
        return error
    return None


def _told(error: Exception) -> str:
    """The line of the user's code that failed, and the first thing the error says."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(_INTERNAL)]
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    what = f"{type(error).__name__}: {first[:300]}".rstrip(": ")
    if not frames:
        return what
    last = frames[-1]
    line = f" (`{text}`)" if (text := _line(last.filename, last.lineno or 0)) else ""
    return f"{last.filename}:{last.lineno}{line} raises {what}"


def _line(filename: str, number: int) -> str:
    try:
        return Path(filename).read_text("utf-8").splitlines()[number - 1].strip()
    except (OSError, IndexError, UnicodeDecodeError):
        return ""
