"""Run the phases of a method over a run directory, and end in a state that can be resumed whatever happens."""

import contextlib
import difflib
from collections.abc import Iterator

from nascc.nas.core.phase import Method, Phase
from nascc.nas.errors import DiskFull, SearchError, Stopped
from nascc.nas.run.directory import RunDirectory
from nascc.nas.run.files import NO_ROOM
from nascc.nas.run.stopping import stop_signals


def run_phases(method: Method, run: RunDirectory, *, until: str | None = None) -> None:
    """Run the phases that are not finished yet, in order, `until` being the last.

    Raises Stopped (exit code 130) at the deadline and after Ctrl-C, DiskFull, SearchError for names that are wrong,
    and what phases raise; each time the last good state stays.
    """
    _check_names([phase.name for phase in method], until)
    run.stopping.requested = False
    with stop_signals(run.stopping):
        for phase in method:
            if not run.finished(phase.name):
                with _resumable(phase.name, run):
                    _run_phase(phase, run)
            if phase.name == until:
                return


def _run_phase(phase: Phase, run: RunDirectory) -> None:
    if (reason := run.stopping.reason) is not None:
        raise Stopped(
            f"{reason} before '{phase.name}'; everything is saved, go on with nascc search --resume {run.path}"
        )
    run.begin(phase.name)
    phase.run(run)
    if not run.finished(phase.name):
        run.finish(phase.name, {})


@contextlib.contextmanager
def _resumable(phase: str, run: RunDirectory) -> Iterator[None]:
    """Say of every way to end early that the run can be resumed; libraries may turn Ctrl-C into errors of their own."""
    interrupted = f"interrupted in '{phase}'; what was saved is kept, go on with nascc search --resume {run.path}"
    try:
        yield
    except KeyboardInterrupt as error:
        raise Stopped(interrupted) from error
    except SearchError:
        raise
    except OSError as error:
        if error.errno in NO_ROOM:
            raise DiskFull(
                f"the disk of '{run.path}' must have room for the next state, but it is full; "
                "the last one is kept: free some space and go on with nascc search "
                f"--resume {run.path}"
            ) from error
        raise
    except Exception as error:
        if run.stopping.requested:
            raise Stopped(interrupted) from error
        raise
    finally:
        run.stopping.announce = None


def _check_names(names: list[str], until: str | None) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SearchError(f"every phase must have a name of its own, got {', '.join(twice)} twice")
    if until is not None and until not in names:
        near = difflib.get_close_matches(until, names) or names
        raise SearchError(f"a phase to stop after must be one of the method's, got '{until}': try {', '.join(near)}")
