"""LightNAS (DAC 2022): one search, by gradients of architecture logits, that lands on the specified latency."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch.nn import functional as F

from nascc.nas.core import Arch, Limit, Method
from nascc.nas.core.randomness import generator
from nascc.nas.methods.method import SearchMethod, standard_method
from nascc.nas.methods.schedule import Schedule
from nascc.nas.phases.config import Count, Data, RunConfig
from nascc.nas.phases.goals import Goal, goals_of, limits_of
from nascc.nas.phases.problem import Problem
from nascc.nas.phases.rehearsal import Timed
from nascc.nas.phases.reranking import Rerank, rerank
from nascc.nas.run import RunDirectory
from nascc.nas.search import Controller, Damped, Fixed, Learner, Published, Settings, Temperature
from nascc.nas.search.sampling import Draw
from nascc.nas.supernets import ChoiceSuperNet
from nascc.nas.supernets.sampling import FairSampler
from nascc.nas.supernets.weights import WeightTrainer
from nascc.nas.train import Recipe
from nascc.nas.train.batches import Batches

PRETRAIN = "pretrain"
LOGGED = 10
"""Every so many steps a line goes to the journal."""
Positive = Annotated[float, Field(gt=0)]


class Architecture(Data):
    """How the logits learn (lightnas.md, sections 2 to 4b).

    `controller` is `damped` (integral and proportional, an upper limit), `paper` (the published equality, with
    `truncate` and `park` of the released code) or `fixed` (`lambda_` constant); `eta` is the rate of its integral, by
    default the controller's own (2, and 5e-4 as published). `estimator` is `score` (forward passes
    only) or `st` (straight-through, as published; blind in every slot whose output feeds only a convolution with batch
    norm).
    """

    batch_size: Count = 64
    lr: Positive = 0.05
    weight_decay: float = 1e-3
    halvings: int = 4
    estimator: Literal["score", "st"] = "score"
    noise_on: Literal["logp", "p"] = "logp"
    controller: Literal["damped", "paper", "fixed"] = "damped"
    kp: float = 3.0
    eta: float | None = None
    lambda_: float = 0.0
    truncate: bool = False
    park: bool = False
    temperature_floor: float = 0.3

    @model_validator(mode="after")
    def _consistent(self) -> "Architecture":
        if self.lambda_ and self.controller != "fixed":
            raise ValueError(f"--lambda needs --controller fixed, got '{self.controller}'")
        return self

    def settings(self, steps: int) -> Settings:
        """What the learner takes, for a number of updates."""
        return Settings(
            steps=steps,
            lr=self.lr,
            weight_decay=self.weight_decay,
            halvings=self.halvings,
            estimator=self.estimator,
            noise_on=self.noise_on,
            temperature=Temperature(floor=self.temperature_floor),
            controller=self._controller(),
        )

    def _controller(self) -> Controller:
        gains = {} if self.eta is None else {"eta": self.eta}
        if self.controller == "damped":
            return Damped(kp=self.kp, **gains)
        if self.controller == "fixed":
            return Fixed(self.lambda_)
        return Published(truncate=self.truncate, park=self.park, **gains)


class LightNASConfig(RunConfig):
    """A run of LightNAS.

    `sharing` says whether operators have weights of their own (`separate`, the paper) or are slices of one superkernel
    per slot (`sliced`); `affine` whether batch norms of the supernet have scales and shifts.
    """

    sharing: Literal["separate", "sliced"] = "separate"
    affine: bool = True
    schedule: Schedule
    weights: Recipe
    architecture: Architecture = Architecture()
    rerank: Rerank = Rerank()


@dataclass(frozen=True)
class _Search:
    """What both loops work on, built from the configuration alone."""

    config: LightNASConfig
    problem: Problem
    trainer: WeightTrainer

    @classmethod
    def of(cls, run: RunDirectory) -> "_Search":
        config = run.config_as(LightNASConfig)
        problem = Problem(config)
        torch.manual_seed(config.seed)
        net = ChoiceSuperNet(problem.space, config.sharing, config.affine)
        total = config.schedule.weight_steps
        return cls(
            config, problem, WeightTrainer(net, problem.task.split("weights"), config.weights, total, config.seed)
        )

    @property
    def net(self) -> ChoiceSuperNet:
        net = self.trainer.net
        assert isinstance(net, ChoiceSuperNet)
        return net


@dataclass(frozen=True)
class Pretrain:
    """Weights alone: every operator trains equally often."""

    name: str = PRETRAIN

    def run(self, run: RunDirectory) -> None:
        """Read the task; write the state of the supernet, which every search of the run starts from."""
        search = _Search.of(run)
        config, trainer = search.config, search.trainer
        sampler = FairSampler(search.problem.space, config.seed, config.schedule.accumulate)
        total = config.schedule.warmup_steps
        steps = run.steps(self.name, total, save=trainer.state_dict, load=trainer.load_state_dict, seed=config.seed)
        for step in steps:
            loss = trainer.step(step, sampler.draw(step, config.weights.batch_size))
            if step % LOGGED == 0:
                steps.log(loss=loss)

    def rehearse(self, run: RunDirectory) -> dict[str, Timed]:
        """A step is one optimiser step of the warm-up."""
        search = _Search.of(run)
        config, trainer = search.config, search.trainer
        sampler = FairSampler(search.problem.space, config.seed, config.schedule.accumulate)
        size = config.weights.batch_size
        step = lambda index: trainer.step(index, sampler.draw(index, size))  # noqa: E731
        return {self.name: Timed(step, config.schedule.warmup_steps)}


@dataclass(frozen=True)
class Search:
    """Weights and logits in turn, until the most likely architecture uses the budget."""

    goal: str
    name: str

    def run(self, run: RunDirectory) -> None:
        """Read the pretrained supernet and the limits of the goal; write the architecture found, and its rivals."""
        loop = _Loop(run, self)
        loop.run()
        run.finish(self.name, loop.result())

    def rehearse(self, run: RunDirectory) -> dict[str, Timed]:
        """A step is one on the weights, and what goes with it on the logits."""
        loop = _Loop(run, self)
        return {self.name: Timed(loop.cycle, loop.schedule.cycles * loop.schedule.weights_block)}


class _Loop:
    """The bilevel loop of one goal."""

    def __init__(self, run: RunDirectory, phase: Search) -> None:
        self.directory, self.phase = run, phase
        self.search = _Search.of(run)
        self.limits: tuple[Limit, ...] = limits_of(run, self.search.problem, phase.goal)
        config = self.search.config
        self.schedule, self.seed = config.schedule, config.seed
        settings = config.architecture.settings(self.schedule.alpha_steps)
        start = generator(self.seed, phase.name, "logits")
        self.learner = Learner(self.search.problem.space.choices, self.limits, settings, start)
        self.batches = Batches(
            self.search.problem.task.split("alpha"), config.architecture.batch_size, self.seed, phase.name
        )

    def run(self) -> None:
        """Every step trains the weights or the logits."""
        self.search.trainer.load_state_dict(_state(self.directory))
        steps = self.directory.steps(
            self.phase.name, self.schedule.search_steps, save=self._state, load=self._load, seed=self.seed
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
        ranked = rerank(self.search.net, self.search.problem.task, candidates, self.search.config.rerank)
        best, space = ranked[0], self.search.problem.space
        rivals = [
            {
                "arch": space.name_of(entry.arch),
                "accuracy": entry.accuracy,
                "loss": entry.loss,
                "cost": {limit.cost.metric: limit.cost(entry.arch) for limit in self.limits},
            }
            for entry in ranked
        ]
        return {
            "search": {"candidates": rivals},
            "arch": list(best.arch),
            "name": space.name_of(best.arch),
            "cost": {limit.cost.metric: limit.cost(best.arch) for limit in self.limits},
            "before_repair": list(self.learner.argmax()),
        }

    def _candidates(self) -> list[Arch]:
        wanted = self.search.config.rerank.candidates
        candidates = self.learner.candidates(wanted)
        within = [repaired.arch for repaired in candidates if repaired.within]
        return within or [candidates[0].arch]

    def _train_weights(self, step: int, index: int) -> float:
        draw = self._draw(step)
        return self.search.trainer.step(self.schedule.warmup_steps + index, [draw.arch])

    def _train_logits(self, step: int, index: int) -> float:
        draw = self._draw(step)
        images, labels = self.batches(index)
        images = images.to(memory_format=torch.channels_last)
        net, straight = self.search.net.train(), self.search.config.architecture.estimator == "st"
        with torch.set_grad_enabled(straight):
            coefficients = draw.coefficients.detach().to(images.dtype).requires_grad_(straight)
            loss = F.cross_entropy(net(images, coefficients if straight else draw.arch), labels)
        gradient = torch.autograd.grad(loss, coefficients)[0] if straight else None
        self.learner.update(draw, float(loss), gradient)
        return float(loss)

    def _draw(self, step: int) -> Draw:
        return self.learner.sample(generator(self.seed, self.phase.name, "draw", step))

    def _state(self) -> dict[str, Any]:
        return {"trainer": self.search.trainer.state_dict(), "learner": self.learner.state_dict()}

    def _load(self, state: dict[str, Any]) -> None:
        self.search.trainer.load_state_dict(state["trainer"])
        self.learner.load_state_dict(state["learner"])


def _state(run: RunDirectory) -> dict[str, Any]:
    state = run.load_state(PRETRAIN)
    assert state is not None, "the phase before saves one"
    return state


def phases(config: RunConfig) -> Method:
    """Pretraining is shared by all goals."""

    def search(goal: Goal) -> Search:
        return Search(goal.name, goal.phase("search"))

    return standard_method(config, (Pretrain(), *map(search, goals_of(config))))


LIGHTNAS = SearchMethod(
    name="lightnas",
    title="LightNAS (DAC 2022): one search that lands on the specified latency",
    config=LightNASConfig,
    phases=phases,
)
