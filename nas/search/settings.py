"""The hyper-parameters of the architecture side of a search."""

from dataclasses import dataclass, field
from typing import Literal

from nascc.nas.errors import SearchError
from nascc.nas.search.controllers import Controller, Damped
from nascc.nas.search.estimators import Estimator
from nascc.nas.search.sampling import NoiseOn
from nascc.nas.search.temperature import Temperature


@dataclass(frozen=True)
class Settings:
    """How the logits learn, over `steps` updates.

    `baseline="effects"` takes operators' average effects out of the noise of the score estimator, "mean" only the mean
    of the losses. `prefer` decides among candidates and swaps: "pairs" by what operators and pairs of them did to the
    losses met, "effects" by the running effects of single operators, "logp" by the probabilities.
    `halvings` counts how often the learning rate halves (the released LightNAS code: every 20 of 80 epochs). `entropy`
    is what the entropy of a slot is worth under a normalised controller, in units of the task loss: it keeps rare
    operators in play and makes log P a measure of worth. Architectures met count as candidates after `settled`, a share
    of the steps.
    """

    steps: int
    lr: float = 0.05
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 1e-3
    halvings: int = 4
    estimator: Estimator = "score"
    baseline: Literal["effects", "mean"] = "effects"
    entropy: float = 0.1
    noise_on: NoiseOn = "logp"
    temperature: Temperature = field(default_factory=Temperature)
    controller: Controller = field(default_factory=Damped)
    prefer: Literal["pairs", "effects", "logp"] = "pairs"
    settled: float = 0.5

    def __post_init__(self) -> None:
        if self.steps < 1 or self.lr <= 0:
            raise SearchError(f"a search must have steps and a positive learning rate, got {self.steps} and {self.lr}")
