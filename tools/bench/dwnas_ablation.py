"""What each part of DW-NAS's training is worth on the embedded task: networks trained with it and without it."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from nascc.nas.blocks.operators import as_linear
from nascc.nas.core import Arch
from nascc.nas.core.randomness import derive, rng
from nascc.nas.macro import load_macro
from nascc.nas.phases.jobs import Job, Tell, run_jobs
from nascc.nas.phases.networks import FOUND, Network
from nascc.nas.spaces import MacroSpace
from nascc.nas.tasks import TaskConfig, open_task
from nascc.nas.train import Recipe, Training, evaluate
from nascc.nas.train.recipe import Linear

KERNELS, EXPANSIONS = (3, 5, 7), (3, 6)
NONLINEAR = tuple(f"k{k}e{e}" for k in KERNELS for e in EXPANSIONS)
LINEAR = tuple(f"{name}l" for name in NONLINEAR)
SHARES = {"all-linear": 1.0, "half-linear": 0.5}
HYBRID = {"1/6": 6, "1/3": 3, "1/2": 2}
"""E_total as a share of the training, and what divides its epochs."""
VARIANTS = (
    *(f"hybrid {share}" for share in HYBRID),
    "plain",
    "plain, no last ReLU6",
    "transform-first",
    "transform-first, norm",
    "non-linear",
)


@dataclass(frozen=True)
class Trial:
    """A network, and how it is trained."""

    networks: str
    variant: str
    seed: int
    epochs: int
    lr: float
    macro: str


@dataclass(frozen=True)
class Trained:
    """A trial, its architecture by name, and its accuracy on the test images, 0 to 1."""

    trial: Trial
    arch: str
    accuracy: float


def architecture(trial: Trial, slots: int) -> list[str]:
    """Operators by name; trials of one kind and seed have the same kernels, expansions and linear slots."""
    draw = rng(trial.seed, "ablation", trial.networks)
    linear = set(draw.sample(range(slots), round(SHARES[trial.networks] * slots)))
    names = [draw.choice(NONLINEAR) for _ in range(slots)]
    if trial.variant == "non-linear":
        return names
    last = trial.variant != "plain, no last ReLU6"
    return [as_linear(f"{name}l", "bias", last) if slot in linear else name for slot, name in enumerate(names)]


def network(trial: Trial, classes: int) -> Network:
    """The network of a trial."""
    macro = load_macro(trial.macro)
    names = architecture(trial, len(MacroSpace(macro, 1).slots))
    own = macro.model_copy(update={"operators": tuple(dict.fromkeys(names))})
    arch: Arch = MacroSpace(own, 1).parse(" ".join(names))
    found = Network("trial", "", FOUND, arch, own, classes)
    if trial.variant.startswith("transform-first"):
        return found.transformed("trial", trial.variant.endswith("norm"))
    return found


def recipe(trial: Trial) -> Recipe:
    """The toy recipe, with the epochs and learning rate of the trial, and its way of training linear operators."""
    kind, _, share = trial.variant.partition(" ")
    linear = Linear()
    if kind == "hybrid":
        linear = Linear(training="hybrid", epochs=trial.epochs / HYBRID[share], every="step")
    return Recipe(
        epochs=trial.epochs, batch_size=32, lr=trial.lr, schedule="one_cycle", label_smoothing=0.1, clip=5.0,
        linear=linear,
    )  # fmt: skip


def train_trial(trial: Trial, task: TaskConfig, tell: Tell) -> Trained:
    """Train and evaluate; results depend on the trial alone."""
    opened = open_task(task)
    chosen = network(trial, len(opened.classes))
    torch.manual_seed(derive(trial.seed, "ablation"))
    training = Training(
        chosen.build(opened.input_shape), opened.split("train"), recipe(trial), seed=trial.seed, phase="ablation"
    )
    for step in range(training.total):
        training.step(step)
    tell(f"{trial.networks} {trial.variant} {trial.seed}", training.total, training.total, {})
    accuracy = evaluate(training.finish(), opened.split("test")).accuracy
    return Trained(trial, str(chosen.config["arch"]), accuracy)


def run_ablation(trials: Sequence[Trial], task: TaskConfig, file: Path | None, workers: int) -> list[Trained]:
    """All trials; those that `file`, one JSON object a line, already holds are not trained again."""
    known = {one.trial: one for one in _read(file)}
    left = [trial for trial in trials if trial not in known]
    for start in range(0, len(left), workers):
        jobs = [Job(str(trial), train_trial, (trial, task)) for trial in left[start : start + workers]]
        for one in run_jobs(jobs, workers, lambda *_: False):
            known[one.trial] = one
            if file is not None:
                with file.open("a") as lines:
                    lines.write(json.dumps(asdict(one)) + "\n")
    return [known[trial] for trial in trials]


def ablation_table(trained: Iterable[Trained]) -> Table:
    """Mean, deviation and values over the seeds, one row a kind of networks and variant."""
    table = Table(title="Test accuracy (%) on the embedded task", title_justify="left")
    for column in ("networks", "variant", "epochs", "lr", "mean", "sd", "seeds"):
        table.add_column(column, justify="left" if column in ("networks", "variant", "seeds") else "right")
    groups: dict[tuple[Any, ...], list[float]] = {}
    for one in trained:
        trial = one.trial
        groups.setdefault((trial.networks, trial.variant, trial.epochs, trial.lr), []).append(100 * one.accuracy)
    for (networks, variant, epochs, lr), values in groups.items():
        spread = f"{stdev(values):.2f}" if len(values) > 1 else ""
        shown = " ".join(f"{value:.1f}" for value in values)
        table.add_row(networks, variant, str(epochs), f"{lr:g}", f"{mean(values):.2f}", spread, shown)
    return table


def ablation(console: Console, seeds: Sequence[int], epochs: int, lr: float, file: Path | None) -> None:
    """Print the table of every variant."""
    trials = [Trial(n, v, seed, epochs, lr, "toy") for n in SHARES for v in VARIANTS for seed in seeds]
    console.print(ablation_table(run_ablation(trials, TaskConfig(), file, os.cpu_count() or 1)))


def _read(file: Path | None) -> Iterator[Trained]:
    if file is None or not file.exists():
        return
    for line in file.read_text().splitlines():
        found = json.loads(line)
        yield Trained(Trial(**found["trial"]), found["arch"], found["accuracy"])
