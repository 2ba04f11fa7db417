"""How a network is trained, as data."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from nascc.nas.data_files import data_names, load_data

FOLDER = "nascc.nas.train.recipes"
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]


class _Data(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Distillation(_Data):
    """What a teacher adds to the loss: `weight` * `temperature`**2 * KL(teacher, student), both softened."""

    weight: NotNegative = 1.0
    temperature: Positive = 1.0


class Linear(_Data):
    """How the activations inside linear operators go (DW-NAS, Eq. 12).

    `hybrid`: they start as non-linearities and are the identity after `epochs`, their slope rising with every epoch or
    `every` step. `plain`: they are the identity from the beginning.
    """

    training: Literal["hybrid", "plain"] = "plain"
    epochs: Positive = 1.0
    every: Literal["epoch", "step"] = "epoch"

    def slope(self, step: int, steps_per_epoch: int) -> float:
        """The slope while `step`, counted from 0, is taken: 0 is the activation, 1 the identity."""
        if self.training == "plain":
            return 1.0
        done = step if self.every == "step" else step // steps_per_epoch * steps_per_epoch
        return min(1.0, done / (self.epochs * steps_per_epoch))


class Recipe(_Data):
    """Stochastic gradient descent with momentum, or RMSProp, and everything around it.

    `lr` is the largest learning rate. `cosine` rises linearly from `warmup_lr` over `warmup_epochs`, then falls to 0;
    `one_cycle` rises from lr / 25 over the first 30 % of the steps, then falls to 0, both along half a cosine, and has
    no warm-up of its own; `exponential` falls to `decay` of itself every `decay_epochs`. `rmsprop` has a decay of 0.9
    and an epsilon of 1e-3. `decay_norms` lets weight decay act on batch norms and biases too. Gradients longer than
    `clip` are scaled to it. `ema` is the decay of averaged weights, which replace the last ones. `linear` says how
    linear operators are trained. Dropout belongs to the network, augmentation to the task.
    """

    epochs: Count
    batch_size: Annotated[int, Field(ge=2)]
    optimiser: Literal["sgd", "rmsprop"] = "sgd"
    lr: Positive
    momentum: BelowOne = 0.9
    nesterov: bool = False
    weight_decay: NotNegative = 3e-5
    decay_norms: bool = False
    schedule: Literal["cosine", "one_cycle", "exponential"] = "cosine"
    decay: Annotated[float, Field(gt=0, le=1)] = 0.97
    decay_epochs: Positive = 2.4
    warmup_epochs: NotNegative = 0.0
    warmup_lr: NotNegative = 0.0
    label_smoothing: BelowOne = 0.0
    clip: Positive | None = None
    ema: BelowOne | None = None
    distillation: Distillation = Distillation()
    linear: Linear = Linear()

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if self.schedule == "one_cycle" and self.warmup_epochs:
            raise ValueError("one_cycle rises by itself; leave warmup_epochs out")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warm-up must be shorter than {self.epochs} epochs, got {self.warmup_epochs:g}")
        if self.nesterov and self.optimiser != "sgd":
            raise ValueError(f"nesterov is for sgd, not for {self.optimiser}")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov needs a momentum above 0")
        if self.linear.training == "hybrid" and self.linear.epochs > self.epochs:
            raise ValueError(
                f"activations must be linear when training ends: linear.epochs must be at most epochs, {self.epochs}, "
                f"got {self.linear.epochs:g}"
            )
        return self


def recipe_names() -> tuple[str, ...]:
    """The recipes that come with nascc, sorted."""
    return data_names(FOLDER)


def load_recipe(name_or_path: str | Path) -> Recipe:
    """The recipe of a name, or of a user's `.toml` file. Raises SearchError, which lists every violation."""
    return load_data(name_or_path, Recipe, FOLDER)
