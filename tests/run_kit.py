"""A small method over a run directory: training with momentum and dropout, in phases and parts."""

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import BaseModel
from torch import nn

from nascc.nas.core import Method
from nascc.nas.core.randomness import generator
from nascc.nas.run import RunDirectory, State

UNEQUAL = {".lock", "timing.jsonl"}
"""Files that may differ between an undisturbed run and a resumed one."""


class Recipe(BaseModel):
    """How the network of `Toy` is trained."""

    lr: float = 0.1
    momentum: float = 0.9


class Toy(BaseModel):
    """The configuration of the runs of these tests."""

    seed: int = 3
    steps: int = 12
    every: int = 5
    recipe: Recipe = Recipe()


class Trainer:
    """A network, its optimiser and an average of its weights."""

    def __init__(self, config: Toy, phase: str) -> None:
        self.config, self.phase = config, phase
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.net = nn.Sequential(
                nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3), nn.Flatten(), nn.Linear(16, 3)
            ).to(memory_format=torch.channels_last)
        recipe = config.recipe
        self.optimizer = torch.optim.SGD(self.net.parameters(), recipe.lr, momentum=recipe.momentum)
        self.loss_ema = 0.0

    def step(self, step: int) -> float:
        """One step on images that follow from the seed and the step."""
        random = generator(self.config.seed, self.phase, step)
        x, y = torch.randn(8, 1, 4, 4, generator=random), torch.randint(3, (8,), generator=random)
        self.optimizer.zero_grad()
        loss = nn.functional.cross_entropy(self.net(x), y)
        loss.backward()
        self.optimizer.step()
        self.loss_ema = 0.9 * self.loss_ema + 0.1 * loss.item()
        return loss.item()

    def save(self) -> State:
        return {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict(), "ema": self.loss_ema}

    def load(self, state: State) -> None:
        self.net.load_state_dict(state["net"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.loss_ema = state["ema"]


@dataclass(frozen=True)
class Train:
    """Two loops, one after the other, that log every other step."""

    name: str
    after: str | None = None

    def run(self, run: RunDirectory) -> None:
        config = run.config_as(Toy)
        trainer = Trainer(config, self.name)
        if self.after is not None:
            state = run.load_state(self.after, "second")
            assert state is not None
            trainer.load(state)
        for part in ("state", "second"):
            steps = run.steps(
                self.name, config.steps, save=trainer.save, load=trainer.load, part=part, every=config.every, seed=7
            )
            for step in steps:
                loss = trainer.step(step)
                if step % 2 == 0:
                    steps.log(loss=loss, lambda_=trainer.loss_ema, probabilities=torch.tensor([[0.25, 0.75]]))
            run.journal.write(self.name, event=f"{part} trained")
        run.save_json(f"{self.name}/numbers.json", {"ema": trainer.loss_ema})
        run.finish(self.name, {"ema": trainer.loss_ema})


METHOD: Method = (Train("pretrain"), Train("search", after="pretrain"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run that must not depend on when it was stopped."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in UNEQUAL)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
