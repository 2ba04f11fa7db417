"""Output files: checked before any work begins, and written so that nobody sees half of one."""

import os
import tempfile
from pathlib import Path

from nascc.tools.errors import CommandError


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
    """Write a text file under a temporary name, then rename it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        Path(name).chmod(0o666 & ~current_umask())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def current_umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
