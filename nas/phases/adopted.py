"""Phases that another run has done."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from nascc.nas.core import Method
from nascc.nas.errors import SearchError
from nascc.nas.measured.campaign import TABLE
from nascc.nas.measured.journal import JOURNAL as MEASUREMENTS
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.goals import BOARD, PROFILE, goals_of
from nascc.nas.run import RunDirectory
from nascc.nas.run.directory import JOURNAL
from nascc.nas.run.journal import read_lines
from nascc.nas.run.results import Finished, read_results

DESCRIPTIONS = "descriptions.json"
WEIGHTS = "weights.safetensors"
"""Those of a supernet that networks take theirs from."""


@dataclass(frozen=True)
class Adopted:
    """Takes over the result of the phase `name`, and what it wrote to its journal, from the run at `source`."""

    name: str
    source: Path

    def run(self, run: RunDirectory) -> None:
        """Copy, so that the other run may go away. Raises SearchError when it has not finished the phase."""
        result = finished_phases(self.source, (self.name,))[0].result
        for line in read_lines(self.source / JOURNAL):
            if line.pop("phase") == self.name and "step" in line:
                run.journal.write(self.name, line.pop("step"), **line)
        for name in (DESCRIPTIONS, TABLE, MEASUREMENTS, WEIGHTS):
            if (file := self.source / self.name / name).exists():
                shutil.copyfile(file, run.phase_folder(self.name) / name)
        run.finish(self.name, result)


def adopted(config: RunConfig) -> Method:
    """The profile and the searches of the run that a configuration names as its source."""
    assert config.source is not None
    return tuple(Adopted(name, Path(config.source)) for name in searched(config))


def searched(config: RunConfig) -> tuple[str, ...]:
    """The names of the phases that retraining builds on."""
    board = () if config.device is None else (BOARD,)
    return (PROFILE, *(goal.phase("search") for goal in goals_of(config)), *board)


def finished_phases(source: Path, names: tuple[str, ...]) -> tuple[Finished, ...]:
    """The results of phases of the run at `source`. Raises SearchError unless all are finished, CorruptRun."""
    found = {finished.phase: finished for finished in read_results(source)} if source.is_dir() else {}
    if missing := [name for name in names if name not in found]:
        raise SearchError(
            f"'{source}' must have finished {', '.join(missing)} before its networks can be trained; "
            f"go on with nascc search --resume {source}"
        )
    return tuple(found[name] for name in names)
