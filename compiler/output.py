"""Write results so that a file appears whole, or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nascc.compiler.errors import UsageError


@contextlib.contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`; the file written there under the same name takes its place at the end.

    Whatever else was written there (external data) moves along, first. Nothing appears when the body raises.
    Raises UsageError when the folder of `path` does not exist or can not be written.
    """
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise UsageError(f"output folder must exist and be writable, but {path.parent}: {error.strerror}") from error
    try:
        yield folder / path.name
        for extra in sorted(folder.iterdir()):
            if extra.name != path.name:
                os.replace(extra, path.parent / extra.name)
        os.replace(folder / path.name, path)
    except OSError as error:
        raise UsageError(f"'{path}' must be writable, but {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
