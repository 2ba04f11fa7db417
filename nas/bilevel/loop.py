"""The loop of a bilevel search: a step trains the weights or the logits."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nascc.nas.bilevel.strategy import Strategy
from nascc.nas.bilevel.supernet import TrainedSuperNet
from nascc.nas.core import Arch, Limit, SuperNet
from nascc.nas.core.randomness import generator
from nascc.nas.phases.goals import limits_of
from nascc.nas.phases.reranking import found, rerank
from nascc.nas.run import RunDirectory
from nascc.nas.search import Learner
from nascc.nas.search.sampling import Draw
from nascc.nas.train.batches import Batch, Batches

PRETRAIN = "pretrain"
LOGGED = 10
"""Every so many steps a line goes to the journal."""


class Loop:
    """Everything of one goal; `cycle` and `run` train, `result` tells what was found."""

    def __init__(self, run: RunDirectory, strategy: Strategy, goal: str, name: str) -> None:
        self.directory, self.name = run, name
        self.supernet = TrainedSuperNet.of(run, strategy)
        config, problem = self.supernet.config, self.supernet.problem
        self.paths = strategy.paths(config)
        self.limits: tuple[Limit, ...] = limits_of(run, problem, goal)
        self.schedule, self.seed = config.schedule, config.seed
        settings = config.architecture.settings(self.schedule.alpha_steps)
        self.learner = Learner(problem.space.choices, self.limits, settings, generator(self.seed, name, "logits"))
        self.batches = Batches(problem.task.split("alpha"), config.architecture.batch_size, self.seed, name)

    def run(self) -> None:
        """Every step trains the weights or the logits."""
        self.supernet.trainer.load_state_dict(_state(self.directory))
        steps = self.directory.steps(
            self.name, self.schedule.search_steps, save=self._state, load=self._load, seed=self.seed
        )
        for step in steps:
            trains_weights, index = self.schedule.turn(step)
            loss = self._train_weights(step, index) if trains_weights else self._train_logits(step, index)
            if trains_weights or index % LOGGED:
                continue
            shown = self.learner.journal() | {"sampled_loss": loss}
            steps.log(**shown, probabilities=self.learner.probabilities())

    def cycle(self, index: int) -> None:
        """A step on the weights and the share of the steps on the logits that goes with it."""
        self._train_weights(index, index)
        for _ in range(max(1, round(self.schedule.alpha_block / self.schedule.weights_block))):
            self._train_logits(index, index)

    def result(self) -> dict[str, Any]:
        """The architecture that the supernet ranks first among those the search prefers, and all of them."""
        candidates = self._candidates()
        ranked = rerank(self.supernet.net, self.supernet.problem.task, candidates, self.supernet.config.rerank)
        costs = [limit.cost for limit in self.limits]
        return found(self.supernet.problem.space, ranked, costs, self.learner.argmax())

    def _candidates(self) -> list[Arch]:
        wanted = self.supernet.config.rerank.candidates
        candidates = self.learner.candidates(wanted)
        within = [repaired.arch for repaired in candidates if repaired.within]
        return within or [candidates[0].arch]

    def _train_weights(self, step: int, index: int) -> float:
        selections = self.paths(self.learner, self._random(step))
        return self.supernet.trainer.step(self.schedule.warmup_steps + index, selections)

    def _train_logits(self, step: int, index: int) -> float:
        draw = self.learner.sample(self._random(step))
        straight = self.supernet.config.architecture.estimator == "st"
        loss, gradient = task_loss(self.supernet.net, draw, self.batches(index), straight)
        self.learner.update(draw, loss, gradient)
        return loss

    def _random(self, step: int) -> torch.Generator:
        return generator(self.seed, self.name, "draw", step)

    def _state(self) -> dict[str, Any]:
        return {"trainer": self.supernet.trainer.state_dict(), "learner": self.learner.state_dict()}

    def _load(self, state: dict[str, Any]) -> None:
        self.supernet.trainer.load_state_dict(state["trainer"])
        self.learner.load_state_dict(state["learner"])


def task_loss(net: SuperNet, draw: Draw, batch: Batch, straight: bool) -> tuple[float, Tensor | None]:
    """The loss of a draw on a batch, and where it is to be learned from `straight` through, d loss / d coefficients."""
    images, labels = batch
    images = images.to(memory_format=torch.channels_last)
    with torch.set_grad_enabled(straight):
        coefficients = draw.coefficients.detach().to(images.dtype).requires_grad_(straight)
        loss = F.cross_entropy(net.train()(images, coefficients if straight else draw.arch), labels)
    gradient = torch.autograd.grad(loss, coefficients)[0] if straight else None
    return float(loss.detach()), gradient


def _state(run: RunDirectory) -> dict[str, Any]:
    state = run.load_state(PRETRAIN)
    assert state is not None, "the phase before saves one"
    return state
