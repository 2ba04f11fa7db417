"""What a run searches: the task it learns, the space it chooses from, and what networks cost where they run."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nascc.nas.costs import Deployment, DescribedSpace, Describer, describe
from nascc.nas.costs.describe import Told
from nascc.nas.phases.config import RunConfig
from nascc.nas.spaces import MacroSpace
from nascc.nas.tasks import Task, open_task
from nascc.runtime.profile import Target, load_target


@dataclass(frozen=True)
class Problem:
    """Built from a configuration alone; opening the task and describing the space happen when they are asked for."""

    config: RunConfig

    @cached_property
    def task(self) -> Task:
        """The images. Raises BadData, RunMismatch."""
        return open_task(self.config.task)

    @cached_property
    def target(self) -> Target:
        return load_target(self.config.target)

    @cached_property
    def space(self) -> MacroSpace:
        """The networks as they are trained: on the task's images."""
        return self._space(self.task.input_shape)

    @cached_property
    def deployed(self) -> MacroSpace:
        """The same networks as they will run: on images of the deployment, with squeeze-and-excitation if wanted."""
        return self._space(self.config.image, self.config.se_last)

    @cached_property
    def deployment(self) -> Deployment:
        return Deployment(self.target, self.config.batch, self.config.power_mode, collapse=self.config.collapse)

    def described(self, store: Path, told: Told | None = None) -> DescribedSpace:
        """The space with every operator compiled and described; `store` keeps descriptions between calls."""
        return describe(self.deployed, Describer(self.deployment, store), told)

    def _space(self, image: tuple[int, int, int], se_last: int = 0) -> MacroSpace:
        return MacroSpace(self.config.macro, len(self.task.classes), self.config.operators, image, se_last)
