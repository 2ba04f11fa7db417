"""Trains one network from beginning to end, or from a saved state to the end."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from nascc.nas.run.progress import Progress, Silent
from nascc.nas.run.state import plain
from nascc.nas.tasks import Split
from nascc.nas.train.evaluation import Network, device_of
from nascc.nas.train.recipe import Recipe
from nascc.nas.train.training import Training

State = dict[str, Any]


@dataclass(frozen=True)
class TrainingResult:
    """Steps taken in all, and one number an epoch for each series (see Training)."""

    steps: int
    series: dict[str, tuple[float, ...]]


def train(
    module: nn.Module,
    split: Split,
    recipe: Recipe,
    *,
    seed: int,
    phase: str = "retrain",
    state: State | None = None,
    checkpoint: Callable[[State], None] | None = None,
    every: int = 200,
    progress: Progress | None = None,
    teacher: Network | None = None,
    valid: Split | None = None,
) -> TrainingResult:
    """Train `module` in place and leave it in eval mode, with averaged weights where the recipe has them.

    `checkpoint` is called with a state after every `every` steps and at the end; from any of them, given as `state`,
    training ends in the same bits on a processor. torch's global generator is left as it was. Raises Diverged before
    a state that is not finite would be handed on, RunMismatch for a state of another training.
    """
    training = Training(module, split, recipe, seed=seed, phase=phase, teacher=teacher, valid=valid)
    if state is not None:
        training.load(state)
    progress = progress or Silent()
    shown: dict[str, float] = {}
    devices = [device] if (device := device_of(module)).type == "cuda" else []
    with torch.random.fork_rng(devices):
        while training.done < training.total:
            shown = training.step(training.done) or shown
            progress.update(phase, training.done, training.total, **shown)
            if checkpoint is not None and (training.done % every == 0 or training.done == training.total):
                checkpoint(plain(training.state()))
    training.finish()
    return TrainingResult(training.done, {name: tuple(values) for name, values in training.series.items()})
