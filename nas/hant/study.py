"""What all phases of a run work on, built from its configuration and what lies in its folder."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from torch.export import ExportedProgram

from nascc.nas.checkpoint import load_checkpoint
from nascc.nas.core import Arch
from nascc.nas.errors import CorruptRun, SearchError
from nascc.nas.hant.config import HantConfig
from nascc.nas.phases.study import Bench
from nascc.nas.phases.study import Study as BaseStudy
from nascc.nas.pool import choose
from nascc.nas.regions import CandidateStore, Chain, RegionSpace, Teacher
from nascc.nas.train.layout import channels_last

PROGRAM = "teacher.pt2"
TEACH = "teach"
CHECKPOINT, CONSTANTS = f"{TEACH}/teacher.safetensors", f"{TEACH}/constants.safetensors"
POOL = "pool"


@dataclass(frozen=True, eq=False)
class Study(BaseStudy):
    """Everything is opened when it is asked for first; processes that share the work build one each."""

    config: HantConfig

    @cached_property
    def untaught(self) -> Teacher:
        """The network as it came, with a fresh head where one was asked for."""
        teacher = Teacher.of(self._model(), self.config.image, self.config.blocks)
        if self.config.new_head:
            return teacher.with_head(len(self.task.classes), self.config.seed)
        require_classes(teacher.classes, len(self.task.classes))
        return teacher

    @cached_property
    def teacher(self) -> Teacher:
        """The teacher. Raises CompileError, SearchError."""
        found = self.untaught
        if self.config.new_head:
            found = found.with_constants(load_file(self.path / CONSTANTS))
        found.require_blocks()
        return found

    @cached_property
    def space(self) -> RegionSpace:
        found = RegionSpace(self.teacher, self.config.image, choose(self.config.operators), self.config.seed)
        channels_last(found.chain)
        return found

    @property
    def chain(self) -> Chain:
        """The teacher as a chain: nothing may change it."""
        return self.space.chain

    @cached_property
    def store(self) -> CandidateStore:
        folder = Path(self.config.pool) if self.config.pool is not None else self.path / POOL
        return CandidateStore(folder, self.setting)

    @cached_property
    def setting(self) -> dict[str, Any]:
        """What decides the weights of all candidates."""
        config = self.config
        return {
            "teacher": self.teacher.digest,
            "task": config.task.model_dump(mode="json"),
            "pretraining": config.pretraining.model_dump(mode="json"),
            "seed": config.seed,
        }

    def candidate(self, slot: int, index: int) -> nn.Module:
        """A trained candidate, in eval mode. Raises SearchError where it was not trained."""
        module = self.space.candidate(slot, index)
        name = self.space.slots[slot].names[index]
        found = self.store.load(self.space.slots[slot].name, name, module)
        if found is None or found.diverged:
            raise CorruptRun(
                f"the candidate '{name}' of '{self.space.slots[slot].name}' must be in '{self.store.folder}', "
                "but it is gone; start anew, or bring the pool back"
            )
        return module.eval()

    def student(self, arch: Arch, *, copied: bool = True) -> Chain:
        """The student of an architecture with trained candidates; copied, it may be changed."""
        chosen = {slot: self.candidate(slot, index) for slot, index in enumerate(arch) if index}
        return self.chain.with_blocks(chosen, copied=copied).eval()

    def _model(self) -> nn.Module | ExportedProgram:
        if (program := self.path / PROGRAM).exists():
            return torch.export.load(program)
        module, _ = load_checkpoint(self.path / CHECKPOINT)
        return module


class Workbench(Bench[Study]):
    """One study for all phases of a run in this process. Raises RunMismatch for a run of another method."""

    def __init__(self) -> None:
        super().__init__(lambda run: Study(run.config_as(HantConfig), run.path))


def require_classes(told: int, wanted: int) -> None:
    """Raise SearchError unless a network tells as many classes as the data have."""
    if told != wanted:
        raise SearchError(
            f"the network tells {told} classes and the data have {wanted}: they must be the same, in the same order; "
            "pass --new-head to replace the last layer and train it on these data first"
        )
