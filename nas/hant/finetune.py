"""The phase that trains students as a whole: from the teacher's weights and the candidates', and by its logits."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn

from nascc.nas.baselines import parse_baselines
from nascc.nas.core import Arch
from nascc.nas.hant.config import HantConfig
from nascc.nas.hant.profile import profiled_goals
from nascc.nas.hant.study import Study, Workbench
from nascc.nas.phases.goals import PROFILE
from nascc.nas.phases.jobs import Job, Tell
from nascc.nas.phases.networks import FOUND
from nascc.nas.phases.retrain import go_through
from nascc.nas.phases.trainings import run_trainings
from nascc.nas.regions import Chain
from nascc.nas.regions.norms import Norm
from nascc.nas.run import RunDirectory
from nascc.nas.run.files import write_whole
from nascc.nas.train import Training, evaluate

FINETUNE = "finetune"


@dataclass(frozen=True)
class Student:
    """A network to fine-tune: what it is called, for which goal, `found` or `random`, and its operators."""

    name: str
    goal: str
    kind: str
    arch: Arch


@dataclass(frozen=True)
class Finetune:
    """Every student is a job of its own, on one thread."""

    bench: Workbench = field(default_factory=Workbench, compare=False)
    name: str = FINETUNE

    def run(self, run: RunDirectory) -> None:
        """Read what was found; write the weights and the accuracy of every student."""
        study = self.bench.study(run)
        run.phase_folder(self.name)
        students = list(students_of(run))
        workers = min(os.cpu_count() or 1, len(students))
        shared = study if workers == 1 else None
        jobs = [Job(s.name, finetune, (study.config, run.path, s, shared)) for s in students]
        results = run_trainings(run, self.name, jobs, workers)
        run.finish(self.name, {"networks": results})


def students_of(run: RunDirectory) -> Iterator[Student]:
    """The found student of every goal, and random ones under the same budgets where they are asked for.

    Of the random ones the first is the one that was judged best before fine-tuning.
    """
    config = run.config_as(HantConfig)
    for goal in profiled_goals(run.result(PROFILE)):
        result = run.result(goal.phase("search"))
        yield Student(goal.phase(FOUND), goal.name, FOUND, tuple(result["arch"]))
        drawn = result["random"]
        best = min(range(len(drawn)), key=lambda k: drawn[k]["loss"], default=None)
        order = [] if best is None else [best, *(k for k in range(len(drawn)) if k != best)]
        for wanted in parse_baselines(config.baselines):
            for number, k in enumerate(order[: wanted.count], 1):
                yield Student(goal.phase(f"random{number}"), goal.name, "random", tuple(drawn[k]["arch"]))


def finetune(config: HantConfig, path: Path, student: Student, study: Study | None, tell: Tell) -> dict[str, Any]:
    """Train one student, from the state last saved on; its weights end in a file of its name.

    Returns plain data. Raises Stopped after saving.
    """
    study = study or Study(config, path)
    chain = study.student(student.arch)
    training = Training(
        prepared(chain, config),
        study.task.split("train"),
        config.retrain,
        seed=config.seed,
        phase=student.name,
        teacher=study.chain,
    )
    file = path / FINETUNE / f"{student.name}.state.pt"
    go_through(training, student.name, file, lambda: None, tell)  # weights are written once they are final
    training.finish()
    write_whole(weights_file(path, student.name), save({n: t.contiguous() for n, t in chain.state_dict().items()}))
    result = evaluate(chain, study.task.split("test"))
    return {
        "name": student.name,
        "goal": student.goal,
        "kind": student.kind,
        "arch": study.space.name_of(student.arch),
        "choice": list(student.arch),
        "test": asdict(result),
        "series": training.series,
    }


def finetuned(study: Study, name: str, arch: Arch) -> Chain:
    """A student with the weights that fine-tuning left."""
    chain = study.student(arch)
    chain.load_state_dict(load_file(weights_file(study.path, name)))
    return chain.eval()


def weights_file(path: Path, name: str) -> Path:
    """Where the weights of a student lie."""
    return path / FINETUNE / f"{name}.safetensors"


def prepared(chain: Chain, config: HantConfig) -> nn.Module:
    """The chain as training takes it: with the teacher's statistics frozen where that is asked for."""
    return _Frozen(chain) if config.frozen_norms else chain


class _Frozen(nn.Module):
    """A chain in which the norms of the teacher's own blocks stay in eval mode."""

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self.chain = chain

    def train(self, mode: bool = True) -> "_Frozen":
        """As usual, but for norms that were captured."""
        super().train(mode)
        for part in self.modules():
            if isinstance(part, Norm):
                part.training = False
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.chain(x)  # type: ignore[no-any-return]
