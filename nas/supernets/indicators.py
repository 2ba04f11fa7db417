"""Decisions taken by weights themselves: a group of them counts when its importance reaches a trained threshold."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Importance = Literal["rms", "l2", "l2sq"]


@dataclass(frozen=True)
class Indicators:
    """How importance is measured, and how gradients pass a decision (Single-Path NAS, Eqs. 4 to 8).

    `importance` of a group: its norm (`l2`, the released code), the square of that (`l2sq`, the paper) or the root of
    the mean square (`rms`), which is comparable between groups and layers. `temperature` is the width of the sigmoid
    that carries the gradient, in units of the importance at the start; None means 1 as published, where the gradient
    is below 1e-5 at the start. With `detach` gradients reach thresholds only, not weights. With `faithful` kernels
    alone are gated, as published: a channel that was dropped then still emits act(bn(0)).
    """

    importance: Importance = "rms"
    temperature: float | None = 0.5
    detach: bool = False
    faithful: bool = False

    def seen(self, weights: Tensor) -> Tensor:
        """The weights that importance is measured on."""
        return weights.detach() if self.detach else weights

    def measure(self, energy: Tensor, size: Tensor) -> Tensor:
        """The importance of groups of `size` weights with sums of squares `energy`."""
        if self.importance == "l2sq":
            return energy
        return (energy / size.clamp_min(1) if self.importance == "rms" else energy).clamp_min(1e-24).sqrt()

    def width(self, importance: Tensor) -> Tensor:
        """The widths of the sigmoids for groups that are this important at the start."""
        if self.temperature is None:
            return torch.ones_like(importance)
        return (self.temperature * importance.detach()).clamp_min(1e-12)


def indicator(importance: Tensor, threshold: Tensor, straight: bool = True) -> Tensor:
    """1 where importance >= threshold, else 0, exactly, with the gradient of sigmoid(importance - threshold).

    Both are in units of the width of the sigmoid. Without `straight` there is no gradient. A threshold that is NaN
    drops its group.
    """
    hard = (importance >= threshold).to(importance.dtype)
    if not straight:
        return hard
    soft = (importance - threshold).sigmoid()
    return hard + (soft - soft.detach())


@dataclass(frozen=True)
class Gates:
    """What a superkernel lets by: `kernels` [m] and `widths` [n], each 1 up to the largest that is in, `keep` a scalar.

    The first entries are constants 1: the innermost kernel and the first channels go only with the whole block.
    """

    kernels: Tensor
    widths: Tensor
    keep: Tensor

    def double(self) -> "Gates":
        """The same in float64, on the CPU: what costs are computed in."""
        return Gates(*(t.to("cpu", torch.float64) for t in (self.kernels, self.widths, self.keep)))

    def chances(self) -> Tensor:
        """[m, n]: 1 for the kernel and width chosen, times `keep`; multilinear in the indicators."""
        return self.keep * _steps(self.kernels)[:, None] * _steps(self.widths)[None, :]


def _steps(cumulative: Tensor) -> Tensor:
    """From 'is at least the i-th' to 'is the i-th'."""
    return cumulative - torch.cat([cumulative[1:], cumulative.new_zeros(1)])


def cumulated(indicators: Tensor) -> Tensor:
    """[1, i1, i1 i2, ...]: a shell counts only around all that it encloses."""
    return torch.cat([indicators.new_ones(1), indicators.cumprod(0)])


def drop_factors(count: int, keep: float, generator: torch.Generator) -> Tensor:
    """Indicator dropout: 1 / keep with probability `keep`, else 0, one draw a decision and step; mean 1."""
    return (torch.rand(count, generator=generator) < keep).float() / keep
