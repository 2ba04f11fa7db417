"""Who trains in a step: visits of operators, and what a step costs, for every rule by which paths are drawn."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from nascc.nas.bilevel.loop import task_loss
from nascc.nas.bilevel.paths import PATHS
from nascc.nas.core import Limit, Sel, SuperNet
from nascc.nas.core.randomness import generator
from nascc.nas.costs import TableCost
from nascc.nas.macro import load_macro
from nascc.nas.search import Learner, Settings
from nascc.nas.search.estimators import Estimator
from nascc.nas.spaces import MacroSpace
from nascc.nas.supernets import ChoiceSuperNet
from nascc.nas.supernets.weights import WeightTrainer
from nascc.nas.tasks import Split, TaskConfig, open_task
from nascc.nas.train import Batches, Recipe
from nascc.tools.bench.dwnas_ablation import LINEAR, NONLINEAR
from nascc.tools.bench.supernet import saved_bytes, seconds

OPERATORS, TOPS = 12, (0.5, 0.9, 0.99)
RECIPE = Recipe(epochs=1, batch_size=32, lr=0.01, clip=5.0)
DRAWS = {"single": 4, "sandwich": 4, "every": 1, "mixed": 1}
"""Steps of each rule that are timed."""


def visits(console: Console, steps: int) -> None:
    """How often the operators of a slot train while one of them is likely (Fig. 7)."""
    table = Table(title=f"Share of the visits, {OPERATORS} operators, {steps} steps (Fig. 7)", title_justify="left")
    for column in ("probability of the top", "paths", "most", "least", "ratio", "steps with the rarest"):
        table.add_column(column, justify="right")
    for top in TOPS:
        for name in ("single", "sandwich", "every"):
            counts = count_visits(name, top, steps)
            share = counts / counts.sum()
            ratio = f"{counts.max() / counts.min():.1f}" if counts.min() else "never"
            rarest = f"{100 * counts.min() / steps:.1f} %"
            table.add_row(f"{top:g}", name, f"{share.max():.3f}", f"{share.min():.4f}", ratio, rarest)
    console.print(table)


def count_visits(paths: str, top: float, steps: int) -> np.ndarray:
    """Visits [12] over so many steps of one slot, whose first operator has the probability `top`."""
    learner, counts = Learner([OPERATORS], (), Settings(steps=1)), np.zeros(OPERATORS)
    rest = torch.full((OPERATORS,), (1 - top) / (OPERATORS - 1))
    rest[0] = top
    with torch.no_grad():
        learner.alpha[0] = rest.log()
    for step in range(steps):
        for selection in PATHS[paths](learner, generator(0, "visits", step)):
            assert isinstance(selection, tuple)
            counts[selection[0]] += 1
    return counts


def costs(console: Console, rounds: int, sharing: str) -> None:
    """Time of a step on the weights, of it and a step on the logits, and bytes kept, beside a single path.

    A rule is compared with the mean of its own paths, each alone: ratios of minima, taken in turn. The step on the
    logits is that of the toy preset, a forward pass over 96 images (`score`), or as published, with a backward pass, on
    a batch as large as the weights have (`st`).
    """
    table = Table(title=f"A step beside that of a single path (toy macro, {sharing} operators)", title_justify="left")
    for column in ("paths", "weights", "weights + logits (score)", "weights + logits (st)", "bytes kept"):
        table.add_column(column, justify="left" if column == "paths" else "right")
    space = MacroSpace(load_macro("toy"), 10, operators=(*NONLINEAR, *LINEAR))
    net = ChoiceSuperNet(space, sharing)  # type: ignore[arg-type]
    task = open_task(TaskConfig())
    trainer = WeightTrainer(net, task.split("weights"), RECIPE, 10**6, 0)
    images, _ = trainer.batch(0)
    logits = [_logits_step(net, space, task.split("alpha"), *kind) for kind in (("score", 96), ("st", 32))]
    learner = Learner(space.choices, (), Settings(steps=1))
    every = [[path] for path in PATHS["every"](learner, generator(0, "alone"))]
    for name, draws in DRAWS.items():
        drawn = [list(PATHS[name](learner, generator(0, "costs", k))) for k in range(draws)]
        own = every if name == "mixed" else [[path] for draw in drawn for path in draw]
        steps = [_weight_step(trainer, draw) for draw in (*drawn, *own)]
        least = seconds([*steps, *logits], rounds).min(0)
        together, single = least[:draws].mean(), least[draws : draws + len(own)].mean()
        both = [f"{(together + other) / (single + other):.2f}x" for other in least[-2:]]
        kept, alone = (max(saved_bytes(net, images, path) for some in part for path in some) for part in (drawn, own))
        table.add_row(name, f"{together / single:.2f}x", *both, f"{kept / alone:.2f}x")
    console.print(table)


def _weight_step(trainer: WeightTrainer, selections: Sequence[Sel]) -> Callable[[], None]:
    def step() -> None:
        trainer.step(0, selections)

    return step


def _logits_step(net: SuperNet, space: MacroSpace, split: Split, estimator: Estimator, size: int) -> Callable[[], None]:
    """A step of the loop on the logits, with one limit."""
    batches, names = Batches(split, size, 0), [name for slot in space.slots for name in slot.names]
    rows = [[float(names.index(name)) for name in slot.names] for slot in space.slots]
    limit = Limit(TableCost("latency", rows), 30.0)
    learner = Learner(space.choices, (limit,), Settings(steps=10**6, estimator=estimator))

    def step() -> None:
        draw = learner.sample(generator(0, "logits", learner.step))
        learner.update(draw, *task_loss(net, draw, batches(learner.step), straight=estimator == "st"))

    return step
