"""A run that is refused before any of its phases is done leaves nothing behind."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nascc.compiler.errors import CompileError
from nascc.nas.errors import DiskFull, Diverged, RunBusy, RunMismatch, SearchError, Stopped
from nascc.nas.run import configuration
from nascc.nas.run.results import read_results
from nascc.runtime.errors import CorruptFile, NotCalibrated, UnsafeFile
from nascc.tools.errors import CommandError

NOT_OURS = (RunBusy, RunMismatch)
REFUSED = (SearchError, CompileError, CommandError, NotCalibrated, CorruptFile, UnsafeFile)
GOES_ON = (DiskFull, Diverged, Stopped)
"""After anything else what was asked for can not be had, and resuming would take the same options."""


@contextmanager
def leaving_nothing(path: Path, *, new: bool) -> Iterator[None]:
    """Remove a `new` run directory where what is done inside is refused and no phase was finished."""
    try:
        yield
    except REFUSED as error:
        is_ours = new and not isinstance(error, (*NOT_OURS, *GOES_ON)) and (path / configuration.NAME).exists()
        if is_ours and not read_results(path):
            shutil.rmtree(path)
        raise
