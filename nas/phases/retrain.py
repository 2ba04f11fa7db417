"""Train the found networks from scratch, and those they are compared with, by one recipe."""

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nascc.nas.baselines import parse_baselines
from nascc.nas.checkpoint import save_checkpoint
from nascc.nas.core.randomness import derive, rng
from nascc.nas.errors import Stopped
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.goals import costs_of, described_space, found_arch, goals_of, limits_of
from nascc.nas.phases.jobs import Job, Tell
from nascc.nas.phases.networks import FOUND, Network, Resized
from nascc.nas.phases.problem import Problem
from nascc.nas.phases.rehearsal import Timed
from nascc.nas.phases.rivals import rivals
from nascc.nas.phases.trainings import run_trainings
from nascc.nas.run import RunDirectory
from nascc.nas.run.state import Saved, read_state, write_state
from nascc.nas.train import Network as Teacher
from nascc.nas.train import Recipe, Training, judge

RETRAIN = "retrain"
TEACHER = "teacher.pt2"
SAVED_EVERY, TOLD_EVERY = 250, 10


@dataclass(frozen=True)
class Retrain:
    """Every network is a job of its own, on one thread: results do not depend on how many processes there are."""

    name: str = RETRAIN

    def run(self, run: RunDirectory) -> None:
        """Read what was found; write a checkpoint and the evaluation of every network."""
        networks, folder = self._networks(run), run.phase_folder(self.name)
        teacher = path if (path := run.path / TEACHER).exists() else None
        jobs = [Job(n.name, train_network, (run.config_as(RunConfig), n, folder, teacher)) for n in networks]
        results = run_trainings(run, self.name, jobs)
        run.finish(self.name, {"networks": results})

    def rehearse(self, run: RunDirectory) -> dict[str, Timed]:
        """A step is one of a random network of the space; every goal and every random baseline takes as many."""
        config = run.config_as(RunConfig)
        problem = Problem(config)
        network = problem.space.build(problem.space.random(rng(config.seed, "rehearsal")))
        training = Training(network, problem.task.split("train"), config.retrain, seed=config.seed)
        beside = sum(wanted.count for wanted in parse_baselines(config.baselines)) + 2 * config.transform_first
        networks = len(goals_of(config)) * (1 + beside)
        rounds = math.ceil(networks / (os.cpu_count() or 1))
        return {self.name: Timed(training.step, training.total * rounds)}

    def _networks(self, run: RunDirectory) -> list[Network]:
        config = run.config_as(RunConfig)
        problem = Problem(config)
        described = described_space(run, problem)
        costs, networks = costs_of(config, described), []
        macro = config.macro.model_copy(update={"operators": config.operators})
        for goal in goals_of(config):
            arch = found_arch(run, goal)
            found = Network(goal.phase(FOUND), goal.name, FOUND, arch, macro, len(problem.task.classes), config.se_last)
            cost = costs[goal.budgets[0].metric]
            networks += [found, *rivals(config, goal, found, cost, limits_of(run, problem, goal), described)]
        return networks


def train_network(
    config: RunConfig, network: Network, folder: Path, teacher: Path | None, tell: Tell
) -> dict[str, Any]:
    """Train one network, from the state last saved on; its weights are in a checkpoint of its name, always readable.

    Returns plain data: what it is, its series, and how good it is on the test images. Raises Stopped after saving.
    """
    problem = Problem(config)
    task, file = problem.task, folder / f"{network.name}.state.pt"
    torch.manual_seed(derive(config.seed, "weights", network.name))
    module = network.build(task.input_shape)
    training = Training(
        _reading(module, network, task.input_shape),
        task.split("train"),
        config.retrain,
        seed=config.seed,
        phase=network.name,
        teacher=None if teacher is None else teacher_at(teacher),
    )
    inputs = [f"x:{_written(network, task.input_shape)}"]

    def checkpoint() -> None:
        described = network.config | _hybrid(training, config.retrain)
        save_checkpoint(folder / f"{network.name}.safetensors", "searched", described, module, inputs)

    go_through(training, network.name, file, checkpoint, tell)
    result = judge(training.finish(), task.split("test"))
    checkpoint()
    return {
        "name": network.name,
        "goal": network.goal,
        "kind": network.kind,
        "arch": network.config["arch"],
        "macro": network.macro.model_dump(mode="json"),
        "resolution": network.resolution,
        "test": asdict(result),
        "series": training.series,
    }


def _hybrid(training: Training, recipe: Recipe) -> dict[str, Any]:
    """What a checkpoint tells of hybrid activations; nothing once they are linear."""
    if (slope := training.slope) is None:
        return {}
    epoch = training.done // training.steps_per_epoch
    told = {"slope": slope, "epoch": epoch, "linear_at": recipe.linear.epochs, "epochs": recipe.epochs}
    return {"hybrid": told}


def go_through(training: Training, name: str, file: Path, checkpoint: Callable[[], None], tell: Tell) -> None:
    """All steps that are left."""
    if (saved := read_state(file)) is not None:
        training.load(saved.state)
    shown: dict[str, float] = {}
    while training.done < training.total:
        shown = training.step(training.done) or shown
        due = training.done % SAVED_EVERY == 0 or training.done == training.total
        stop = training.done % TOLD_EVERY == 0 and tell(name, training.done, training.total, shown)
        if due or stop:
            write_state(file, Saved(training.state(), training.done, 0))
            checkpoint()
        if stop and training.done < training.total:
            raise Stopped(
                f"stopped in the training of '{name}'; everything is saved, "
                f"go on with nascc search --resume {file.parents[1]}"
            )


def _reading(module: nn.Module, network: Network, image: tuple[int, int, int]) -> nn.Module:
    own = network.image(image)
    return module if own == image else Resized(module, own[1:])


def _written(network: Network, image: tuple[int, int, int]) -> str:
    return "x".join(map(str, (1, *network.image(image))))


def teacher_at(path: Path) -> Teacher | None:
    """The teacher that a run has there, if it has one."""
    if not path.exists():
        return None
    program = torch.export.load(path).module()
    return program.forward  # as a module it refuses eval(), which it is in already
