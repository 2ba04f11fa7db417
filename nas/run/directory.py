"""The directory of a run: configuration, journal, states, results, and everything phases put there."""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel

from nascc.nas.errors import RunBusy, RunMismatch, SearchError
from nascc.nas.run import configuration
from nascc.nas.run.configuration import Config
from nascc.nas.run.files import read_json, remove_temporaries, to_json, write_whole
from nascc.nas.run.journal import Journal
from nascc.nas.run.progress import Progress, Silent
from nascc.nas.run.results import NAME as RESULT
from nascc.nas.run.results import Finished, read_results, write_result
from nascc.nas.run.state import Saved, State, read_state, write_state
from nascc.nas.run.steps import Steps
from nascc.nas.run.stopping import Stopping
from nascc.nas.run.timing import Timing

JOURNAL, TIMING, LOCK = "journal.jsonl", "timing.jsonl", ".lock"
STATE = "state.pt"
NAMES = re.compile(r"[A-Za-z0-9][\w.+%-]*(/[A-Za-z0-9][\w.+%-]*)*")


class RunDirectory:
    """A run that this process works on; a context manager, since it holds the lock of its folder.

    Made by `create`, `resume` and `reopen`. `config` must hold all that decides results, and nothing else: neither
    time limits nor progress. Files appear whole or not at all, so that a kill at any moment can be resumed.
    """

    def __init__(
        self, path: Path, config: BaseModel, *, progress: Progress | None = None, time_limit_s: float | None = None
    ) -> None:
        self.path, self.config = path, config
        self.progress: Progress = progress or Silent()
        self.stopping = Stopping(time_limit_s)
        self._lock = _locked(path)
        remove_temporaries(path)
        self.journal, self.timing = Journal(path / JOURNAL), Timing(path / TIMING)

    @classmethod
    def create(
        cls, path: Path, config: BaseModel, *, progress: Progress | None = None, time_limit_s: float | None = None
    ) -> "RunDirectory":
        """A new run in a folder that does not exist, or is empty. Raises RunMismatch, RunBusy, OSError."""
        _require_folder(path)
        if (path / configuration.NAME).exists():
            raise RunMismatch(f"'{path}' must be empty, but holds a run; go on with it by --resume, or name another")
        if others := _foreign(path):
            raise RunMismatch(f"'{path}' must be empty, found {', '.join(others[:3])}; name another folder")
        run = cls(path, config, progress=progress, time_limit_s=time_limit_s)
        configuration.write_config(path, config)
        return run

    @classmethod
    def resume(
        cls, path: Path, config: BaseModel, *, progress: Progress | None = None, time_limit_s: float | None = None
    ) -> "RunDirectory":
        """Go on with the run of `config` at `path`, or begin it where a kill came before anything was written.

        Raises RunMismatch, which names every key that differs, RunBusy, CorruptRun, OSError.
        """
        _require_folder(path)
        if not (path / configuration.NAME).exists():
            return cls.create(path, config, progress=progress, time_limit_s=time_limit_s)
        configuration.require_config(path, config)
        return cls(path, config, progress=progress, time_limit_s=time_limit_s)

    @classmethod
    def reopen(
        cls, path: Path, kind: type[Config], *, progress: Progress | None = None, time_limit_s: float | None = None
    ) -> "RunDirectory":
        """Go on with the run at `path`, whatever its configuration is. Raises RunMismatch, RunBusy, CorruptRun."""
        config = configuration.read_config(path, kind)
        return cls.resume(path, config, progress=progress, time_limit_s=time_limit_s)

    def config_as(self, kind: type[Config]) -> Config:
        """The configuration, which must be a `kind`. Raises RunMismatch."""
        if not isinstance(self.config, kind):
            found = type(self.config).__name__
            raise RunMismatch(f"the configuration of '{self.path}' must be a {kind.__name__}, found a {found}")
        return self.config

    def phase_folder(self, phase: str) -> Path:
        """The folder of a phase, which exists then. Raises SearchError for a name that is none."""
        folder = self._folder(phase)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def save_state(self, phase: str, state: State, *, step: int = 0, part: str = "state") -> None:
        """Save what `phase` needs to go on after `step` steps; what the journal gets later is dropped on resuming.

        Raises Diverged when it is not finite, OSError.
        """
        self.journal.sync()
        write_state(self._state_file(phase, part), Saved(state, step, self.journal.position))

    def saved(self, phase: str, part: str = "state") -> Saved | None:
        """The state last saved, with its step; None when there is none. Raises CorruptRun."""
        return read_state(self._state_file(phase, part))

    def load_state(self, phase: str, part: str = "state") -> State | None:
        """The state last saved; None when there is none. Raises CorruptRun."""
        return None if (saved := self.saved(phase, part)) is None else saved.state

    def save_json(self, name: str, value: object) -> Path:
        """Write `value` to `name`, a path inside the run such as 'profile/table.json'. Raises OSError, TypeError."""
        write_whole(path := self._folder(name), (to_json(value, indent=2) + "\n").encode())
        return path

    def load_json(self, name: str) -> Any:
        """What `save_json` wrote. Raises CorruptRun when it is missing or damaged."""
        return read_json(self._folder(name))

    def steps(
        self,
        phase: str,
        total: int,
        *,
        save: Callable[[], State],
        load: Callable[[State], object],
        part: str = "state",
        every: int | None = None,
        seconds: float = 60.0,
        seed: int | None = None,
    ) -> Steps:
        """The steps of `phase` that are left, as an iterable loop; see `Steps`."""
        return Steps(self, phase, total, save=save, load=load, part=part, every=every, seconds=seconds, seed=seed)

    def begin(self, phase: str) -> None:
        """Drop what the journal got after the last state of `phase`, and let it write the rest again as it starts over.

        Raises CorruptRun.
        """
        begins = self._begins()
        states = [read_state(path) for path in self.phase_folder(phase).glob(f"*{STATE}")]
        self.journal.rewind(max([begins, *(saved.journal for saved in states if saved is not None)]))
        self.journal.replay(begins)
        self.journal.write(phase, event="started")
        self.timing.start()

    def finish(self, phase: str, result: Mapping[str, object]) -> None:
        """Put down that `phase` is done, and its result. Raises OSError, TypeError."""
        begins = self._begins()
        self.journal.write(phase, event="finished")
        self.journal.rewind(self.journal.position)
        self.journal.sync()
        self.timing.lap(phase)
        write_result(self._folder(phase), Finished(phase, begins, self.journal.position, dict(result)))

    def finished(self, phase: str) -> bool:
        """Whether `phase` is done."""
        return (self._folder(phase) / RESULT).exists()

    def result(self, phase: str) -> dict[str, Any]:
        """The result of a finished phase. Raises SearchError when it is not finished, CorruptRun."""
        found = [finished.result for finished in read_results(self.path) if finished.phase == phase]
        if not found:
            raise SearchError(
                f"phase '{phase}' of '{self.path}' must be finished first; go on with nascc search --resume {self.path}"
            )
        return found[0]

    def forget(self, phase: str) -> None:
        """Undo a phase and all that ended after it, so that they run again."""
        ended = read_results(self.path)
        begins = next((finished.begins for finished in ended if finished.phase == phase), self._begins())
        for later in reversed([finished.phase for finished in ended if finished.begins >= begins]):
            (self._folder(later) / RESULT).unlink()
            shutil.rmtree(self._folder(later))
        shutil.rmtree(self._folder(phase), ignore_errors=True)
        self.journal.rewind(begins)

    def close(self) -> None:
        """Close the files and let go of the lock."""
        self.journal.close()
        self.timing.close()
        self._lock.release()

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begins(self) -> int:
        """The bytes of the journal up to the last phase that is finished."""
        return max((finished.ends for finished in read_results(self.path)), default=0)

    def _state_file(self, phase: str, part: str) -> Path:
        return self._folder(phase) / (STATE if part == "state" else f"{part}.{STATE}")

    def _folder(self, name: str) -> Path:
        if not NAMES.fullmatch(name):
            raise SearchError(f"names inside a run must be words of letters, digits and ._+%- with /, got '{name}'")
        return self.path / name


def _require_folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise RunMismatch(f"a run directory must be a folder, got the file '{path}'; name another")


def _foreign(path: Path) -> list[str]:
    """What a folder holds, without what a killed process leaves there before its first file."""
    leftovers = re.compile(rf"{re.escape(LOCK)}|\..*\.nascc-tmp")
    return sorted(name for name in os.listdir(path) if not leftovers.fullmatch(name)) if path.is_dir() else []


def _locked(path: Path) -> FileLock:
    """The lock of a folder; the system lets go of it when its process dies. Raises RunBusy."""
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise RunBusy(f"'{path}' must be used by one process at a time, but another works in it; stop it") from error
    return lock
