"""What each operator adds to the loss, by a running ridge regression over the architectures that were sampled."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nascc.nas.core.selection import legal_columns
from nascc.nas.core.space import Arch

INTERCEPT_PRIOR = 1e4
"""The intercept is hardly shrunk: how large losses are says nothing about operators."""
LARGEST_VARIANCE = 1e4
"""Forgetting inflates the variance of operators that are no longer sampled; beyond this it would overflow."""


class Effects:
    """loss(a) ~ intercept + sum over slots of effect[s, a_s], by recursive least squares with forgetting.

    Scaling or shifting the losses scales or shifts the estimate. `forget` < 1 follows losses that fall while the
    weights train and effects that change with the neighbours: an observation counts half after ln(2) / (1 - forget)
    steps.
    """

    def __init__(self, choices: Sequence[int], forget: float = 0.999, prior: float = 1.0) -> None:
        self._shape = len(choices), max(choices)
        self._needed = sum(n - 1 for n in choices) + 1
        self.seen, self.forget = 0, forget
        self._legal = legal_columns(choices)
        size = self._shape[0] * self._shape[1] + 1
        self._weights = torch.zeros(size, dtype=torch.float64)
        self._covariance = torch.full((size,), prior, dtype=torch.float64).diag()
        self._covariance[-1, -1] = INTERCEPT_PRIOR

    def predict(self, arch: Arch) -> float:
        """The expected loss of an architecture."""
        return float(self._weights[self._features(arch)].sum())

    def add(self, arch: Arch, loss: float) -> float:
        """Take a loss in; returns by how much it was above what was expected."""
        features, residual = self._features(arch), loss - self.predict(arch)
        spread = self._covariance[:, features].sum(1)
        gain = spread / (self.forget + spread[features].sum())
        self._weights += gain * residual
        self._covariance = (self._covariance - torch.outer(gain, spread)) / self.forget
        if (largest := float(self._covariance.diagonal().max())) > LARGEST_VARIANCE:
            self._covariance *= LARGEST_VARIANCE / largest
        self.seen += 1
        return residual

    @property
    def known(self) -> bool:
        """Whether there were as many observations as there are numbers to estimate."""
        return self.seen >= self._needed

    def rows(self) -> Tensor:
        """Effect of each operator on the loss, [S, C]; zero mean in every slot, zero where there is no operator."""
        effects = self._weights[:-1].reshape(self._shape) * self._legal
        mean = effects.sum(1, keepdim=True) / self._legal.sum(1, keepdim=True)
        return (effects - mean) * self._legal

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen, "weights": self._weights.clone(), "covariance": self._covariance.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = int(state["seen"])
        self._weights, self._covariance = state["weights"].clone(), state["covariance"].clone()

    def _features(self, arch: Arch) -> Tensor:
        """Positions of the ones: an operator a slot and the intercept."""
        columns = self._shape[1]
        return torch.tensor([*(s * columns + index for s, index in enumerate(arch)), len(self._weights) - 1])
