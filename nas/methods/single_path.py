"""Single-Path NAS (ECML-PKDD 2019): every choice lives inside one over-parameterised kernel, searched in one level."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator

from nascc.nas.blocks.operators import operator
from nascc.nas.core import Cost, Method
from nascc.nas.errors import SearchError
from nascc.nas.methods.method import SearchMethod, standard_method
from nascc.nas.methods.threshold_learner import ThresholdLearner
from nascc.nas.phases.config import Count, Data, RunConfig
from nascc.nas.phases.goals import Goal, costs_of, described_space, goals_of, limits_of
from nascc.nas.phases.problem import Problem
from nascc.nas.phases.rehearsal import Timed
from nascc.nas.phases.reranking import Rerank, found, rerank
from nascc.nas.run import RunDirectory
from nascc.nas.search import Controller, Damped, Fixed
from nascc.nas.supernets.indicators import Gates, Indicators
from nascc.nas.supernets.superkernel import grid_of
from nascc.nas.supernets.superkernel_net import SuperkernelNet
from nascc.nas.supernets.weights import WeightTrainer
from nascc.nas.train import Recipe

LOGGED = 10
"""Every so many steps a line goes to the journal."""
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(gt=0, le=1)]


class Thresholds(Data):
    """How decisions learn (singlepath.md, sections 2 and 3).

    `importance`, `temperature`, `detach` and `faithful` are those of `Indicators`. Thresholds go by plain SGD with
    `lr`, in units of the width of the sigmoid (Adam moves all at one speed, which makes the choice bang-bang).
    `controller` is `damped` (integral and proportional: the limits are kept) or `fixed`: `lambda_` weighs the
    logarithm of the runtime, as published; while it is 0 nothing asks for a smaller network, and thresholds rest.
    `keep` is the probability with which indicator dropout keeps a decision before costs count.
    """

    importance: Literal["rms", "l2", "l2sq"] = "rms"
    temperature: Positive | None = 0.5
    detach: bool = False
    faithful: bool = False
    lr: Positive = 0.3
    controller: Literal["damped", "fixed"] = "damped"
    kp: float = 1.0
    eta: float = 0.01
    lambda_: Annotated[float, Field(ge=0)] = 0.0
    keep: Share = 0.6

    @model_validator(mode="after")
    def _consistent(self) -> "Thresholds":
        if self.lambda_ and self.controller != "fixed":
            raise ValueError(f"--lambda needs --controller fixed, got '{self.controller}'")
        return self

    @property
    def indicators(self) -> Indicators:
        return Indicators(self.importance, self.temperature, self.detach, self.faithful)

    def rule(self) -> Controller:
        """What weighs the costs."""
        return Damped(kp=self.kp, eta=self.eta) if self.controller == "damped" else Fixed(self.lambda_)


class Length(Data):
    """How long the search is: in steps, or in epochs of the data; costs count after the `free` ones."""

    unit: Literal["steps", "epochs"] = "steps"
    total: Count
    free: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _consistent(self) -> "Length":
        if self.free >= self.total:
            raise ValueError(f"the {self.unit} before costs count must be fewer than all {self.total}, got {self.free}")
        return self

    def steps(self, per_epoch: int) -> tuple[int, int]:
        """(all, free) in steps, of which an epoch has so many."""
        scale = 1 if self.unit == "steps" else per_epoch
        return self.total * scale, self.free * scale


class SinglePathConfig(RunConfig):
    """A run of Single-Path NAS; operators are all combinations of kernels and expansions, and perhaps a skip."""

    length: Length
    weights: Recipe
    architecture: Thresholds = Thresholds()
    rerank: Rerank = Rerank()

    @model_validator(mode="after")
    def _is_a_superkernel(self) -> "SinglePathConfig":
        try:
            grid_of([operator(name) for name in self.operators])
        except SearchError as error:
            raise ValueError(str(error)) from error
        return self


@dataclass(frozen=True)
class Search:
    """Weights and thresholds in one level: cross-entropy, and what the network costs."""

    goal: str
    name: str

    def run(self, run: RunDirectory) -> None:
        """Read the limits of the goal; write the architecture found, and its rivals."""
        loop = _Loop(run, self)
        loop.run()
        run.finish(self.name, loop.result())

    def rehearse(self, run: RunDirectory) -> dict[str, Timed]:
        """A step is one of the search, costs included."""
        loop = _Loop(run, self)
        return {self.name: Timed(lambda index: loop.step(loop.free + index), loop.total)}


class _Loop:
    """The single loop of one goal."""

    def __init__(self, run: RunDirectory, phase: Search) -> None:
        self.directory, self.phase = run, phase
        self.config = config = run.config_as(SinglePathConfig)
        self.problem = Problem(config)
        torch.manual_seed(config.seed)
        self.net = SuperkernelNet(self.problem.space, config.architecture.indicators)
        images = self.problem.task.split("weights")
        self.total, self.free = config.length.steps(max(1, len(images) // config.weights.batch_size))
        self.trainer = WeightTrainer(self.net, images, config.weights, self.total, config.seed, self.net.thresholds)
        self.learner = ThresholdLearner(
            self.net,
            limits_of(run, self.problem, phase.goal),
            _cost(config, run, self.problem),
            config.architecture.rule(),
            config.architecture.lr,
        )

    def run(self) -> None:
        """Every step trains weights and thresholds."""
        steps = self.directory.steps(
            self.phase.name, self.total, save=self._state, load=self._load, seed=self.config.seed
        )
        for step in steps:
            losses = self.step(step)
            if step % LOGGED == 0 or step == self.total - 1:
                steps.log(**losses, **self.learner.journal(), **self.learner.shapes())

    def step(self, step: int) -> dict[str, float]:
        """One step; returns both terms of the loss."""
        learner, counts = self.learner, step >= self.free
        factors = None if counts else self.net.dropped(self.config.architecture.keep, self.config.seed, step)
        gates: list[Gates] = []

        def forward(images: torch.Tensor) -> torch.Tensor:
            gates[:] = self.net.train().gates(factors)
            return self.net.gated(images, gates)

        task, cost = self.trainer.step_with(step, forward, lambda: learner.loss(gates) if counts else None)
        learner.update(counts)
        return {"task_loss": task, "runtime_loss": cost}

    def result(self) -> dict[str, Any]:
        """The architecture that the supernet ranks first among those the weights stand for, within the limits."""
        space, limits = self.problem.space, self.learner.limits
        before = self.net.decide()
        candidates = self.learner.candidates(self.config.rerank.candidates)
        ranked = rerank(self.net, self.problem.task, candidates, self.config.rerank)
        costs = [limit.cost for limit in limits] or [self.learner.cost]
        return found(space, ranked, costs, before)

    def _state(self) -> dict[str, Any]:
        return {"trainer": self.trainer.state_dict(), "learner": self.learner.state_dict()}

    def _load(self, state: dict[str, Any]) -> None:
        self.trainer.load_state_dict(state["trainer"])
        self.learner.load_state_dict(state["learner"])


def _cost(config: SinglePathConfig, run: RunDirectory, problem: Problem) -> Cost:
    """What `lambda_` weighs: the first cost that a budget speaks of."""
    return next(iter(costs_of(config, described_space(run, problem)).values()))


def phases(config: RunConfig) -> Method:
    """A search for every goal: there is nothing that they could share."""

    def search(goal: Goal) -> Search:
        return Search(goal.name, goal.phase("search"))

    return standard_method(config, tuple(map(search, goals_of(config))))


SINGLE_PATH = SearchMethod(
    name="single-path",
    title="Single-Path NAS (ECML-PKDD 2019): every choice inside one over-parameterised kernel",
    config=SinglePathConfig,
    phases=phases,
)
