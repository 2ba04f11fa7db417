"""Two estimates of how the task loss changes with the logits."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from nascc.nas.search.effects import Effects
from nascc.nas.search.sampling import Draw

Estimator = Literal["st", "score"]


@dataclass(frozen=True)
class Moments:
    """Running mean and deviation of a loss, corrected for the few values at the start."""

    decay: float = 0.95
    seen: int = 0
    first: float = 0.0
    second: float = 0.0
    """`second` is of deviations from the mean: squares of large losses would cancel."""

    def add(self, value: float) -> "Moments":
        off = value - self.mean if self.seen else 0.0
        keep = self.decay
        first = keep * self.first + (1 - keep) * value
        return replace(self, seen=self.seen + 1, first=first, second=keep * self.second + (1 - keep) * off * off)

    @property
    def mean(self) -> float:
        return self.first / (1 - self.decay**self.seen) if self.seen else 0.0

    @property
    def deviation(self) -> float:
        return math.sqrt(self.second / (1 - self.decay**self.seen)) if self.seen else 0.0

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)


def straight_through(alpha: Tensor, draw: Draw, gradient: Tensor) -> Tensor:
    """d loss / d coefficients [S, C] -> d loss / d alpha [S, C], through the relaxation of the draw.

    What a supernet gives for a coefficient is how the loss answers to a rescaled output: exactly zero in every slot
    whose output feeds only a convolution with batch norm.
    """
    (found,) = torch.autograd.grad(draw.coefficients, alpha, gradient.to(draw.coefficients), retain_graph=True)
    return found


def clipped(value: float, deviation: float, clip: float = 2.0) -> float:
    """`value` in deviations, within +-clip; 0 while there is no deviation."""
    return max(-clip, min(clip, value / deviation)) if deviation > 0 else 0.0


def score(alpha: Tensor, draw: Draw, loss: float, moments: Moments, scale: float = 0.1) -> Tensor:
    """scale * advantage * d log P(arch) / d alpha, [S, C]: needs the loss alone, no backward pass through the network.

    The advantage is the loss minus its running mean, in running deviations, within +-2. `moments` must not have seen
    `loss`: no loss is its own baseline.
    """
    (found,) = torch.autograd.grad(draw.log_probability, alpha, retain_graph=True)
    return scale * clipped(loss - moments.mean, moments.deviation) * found


def score_with_effects(
    alpha: Tensor, draw: Draw, residual: float, effects: Effects, deviation: float, scale: float = 0.1
) -> Tensor:
    """The score with what operators add on average taken out of the noise, [S, C].

    scale * (d E[effects] / d alpha + residual * d log P(arch) / d alpha), both in deviations of the loss: the first
    term is exact, the second, within +-2, holds what is no sum over slots. Up to that clipping the expectation is that
    of `score`, for any effects; where losses nearly add up the variance is a small part of it.
    """
    if deviation <= 0:
        return torch.zeros_like(alpha)
    expected = (draw.probabilities * effects.rows().to(alpha)).sum() / deviation
    surrogate = expected + clipped(residual, deviation) * draw.log_probability
    (found,) = torch.autograd.grad(surrogate, alpha, retain_graph=True)
    return scale * found
