"""What phases of methods that start from a network work on: a run's configuration, its folder, and what follows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

from nascc.nas.costs import Deployment
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.problem import Problem
from nascc.nas.run import RunDirectory
from nascc.nas.tasks import Task
from nascc.runtime.profile import Target


@dataclass(frozen=True, eq=False)
class Study:
    """Everything is opened when it is asked for first; processes that share the work build one each."""

    config: RunConfig
    path: Path

    @cached_property
    def problem(self) -> Problem:
        return Problem(self.config)

    @property
    def task(self) -> Task:
        return self.problem.task

    @property
    def target(self) -> Target:
        return self.problem.target

    @property
    def deployment(self) -> Deployment:
        return self.problem.deployment


Kind = TypeVar("Kind", bound=Study)


class Bench(Generic[Kind]):
    """One study for all phases of a run in this process; `open_study` makes it. Raises what that raises."""

    def __init__(self, open_study: Callable[[RunDirectory], Kind]) -> None:
        self._open = open_study
        self._study: Kind | None = None

    def study(self, run: RunDirectory) -> Kind:
        """The study of a run."""
        if self._study is None or self._study.path != run.path:
            self._study = self._open(run)
        return self._study
