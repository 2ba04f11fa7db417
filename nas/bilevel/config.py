"""The configuration that bilevel searches have in common."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from nascc.nas.bilevel.schedule import Schedule
from nascc.nas.phases.config import Count, Data, RunConfig
from nascc.nas.phases.reranking import Rerank
from nascc.nas.search import Controller, Damped, Fixed, Published, Settings, Temperature
from nascc.nas.train import Recipe

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


class BilevelConfig(RunConfig):
    """A run whose weights and logits learn in turn.

    `sharing` says whether operators have weights of their own (`separate`, the papers) or are slices of one superkernel
    per slot (`sliced`); `affine` whether batch norms of the supernet have scales and shifts.
    """

    sharing: Literal["separate", "sliced"] = "separate"
    affine: bool = True
    schedule: Schedule
    weights: Recipe
    architecture: Architecture = Architecture()
    rerank: Rerank = Rerank()
