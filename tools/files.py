"""Files beside the model: outputs that must be writable before any work begins, and arrays that a user brings."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from nascc.tools.errors import CommandError

if TYPE_CHECKING:
    from nascc.runtime.runners.base import Array


def require_writable(path: Path, option: str) -> None:
    """Raise CommandError unless a file can be put at `path`; nothing stays behind."""
    if path.is_dir():
        raise CommandError(f"{option} must be a file, got the folder '{path}'")
    if not path.parent.is_dir():
        raise CommandError(f"{option} must lie in a folder that exists, got '{path}'; create '{path.parent}' first")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise CommandError(f"{option} must lie in a writable folder, got '{path}': {error.strerror}") from error


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    from nascc.compiler.output import atomically

    with atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_arrays(path: Path | None) -> "dict[str, Array] | None":
    """The arrays of an .npz file by name, None without a path.

    Raises what `inspect_file` raises, and CommandError (exit 3, or 9 for pickled objects) for other content.
    """
    if path is None:
        return None
    import numpy as np

    from nascc.runtime.sniff import FileKind, inspect_file

    if (kind := inspect_file(path).kind) is not FileKind.NPZ:
        raise CommandError(f"--data must be an .npz file that numpy.savez wrote, found {kind.value} in '{path}'", 3)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except ValueError as error:
        unsafe = "allow_pickle" in str(error)
        raise CommandError(f"--data must hold plain arrays, but '{path}': {error}", 9 if unsafe else 3) from error
