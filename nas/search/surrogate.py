"""What operators and pairs of them add to the loss, from all architectures that a search has tried."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from nascc.nas.core.space import Arch
from nascc.nas.search.preference import Pairwise
from nascc.nas.search.shares import Numbers

FORGET = 0.999
"""A loss counts half after ln(2) / (1 - FORGET) steps: weights train meanwhile."""
DRIFT = 100.0
"""Prior variance of a level and a linear and a quadratic trend, in those of the losses: what is common to all."""
PAIRS = (0.0, 0.1, 0.3, 1.0, 3.0)
NOISES = (1e-4, 1e-2, 0.1, 0.3, 1.0, 3.0, 10.0)


def fit_pairs(archs: Sequence[Arch], losses: Sequence[float], choices: Sequence[int]) -> Pairwise:
    """The posterior mean of minus the loss under a Gaussian process, oldest observation first.

    loss(a) ~ trend + sum of own terms + sum of pair terms + noise. Two architectures that agree in m slots have
    covariance m + v m^2 / S; v and the share of noise are those of the largest marginal likelihood.
    """
    marks = _one_hot(archs, choices)
    agreements = marks @ marks.T
    level, unit = float(np.mean(losses)), float(np.std(losses)) or 1.0
    seen = _Observations(agreements, len(choices), (np.asarray(losses) - level) / unit)
    best = max((seen.fit(pairs, noise) for pairs in PAIRS for noise in NOISES), key=lambda f: f.likelihood)
    shape = len(choices), max(choices)
    weights = -unit * best.weights / best.spread
    rows = (marks.T @ weights).reshape(shape)
    pairs = (best.pairs / len(choices) * (marks.T * weights) @ marks).reshape(*shape, *shape)
    for slot in range(len(choices)):  # an operator beside itself is a term of its own
        rows[slot] += np.diag(pairs[slot, :, slot, :])
        pairs[slot, :, slot, :] = 0
    return Pairwise(rows, pairs)


@dataclass(frozen=True)
class _Fit:
    """`weights` of the observations in the posterior mean, of a kernel divided by `spread`."""

    pairs: float
    spread: float
    likelihood: float
    weights: Numbers


@dataclass(frozen=True)
class _Observations:
    """Standardised losses, and in how many of the slots their architectures agree, [n, n]."""

    agreements: Numbers
    slots: int
    losses: Numbers

    def fit(self, pairs: float, noise: float) -> _Fit:
        """Condition on the losses; the likelihood is up to a constant, at the best overall scale."""
        number = len(self.losses)
        kernel = self.agreements + pairs / self.slots * self.agreements**2
        spread = float(np.diag(kernel).mean() - kernel.mean()) or 1.0
        kernel = kernel / spread + np.diag(noise * FORGET ** -np.arange(number)[::-1]) + self._drift()
        factor = cho_factor(kernel, lower=True, overwrite_a=True, check_finite=False)
        weights: Numbers = cho_solve(factor, self.losses, check_finite=False)
        scale = max(float(self.losses @ weights) / number, np.finfo(float).tiny)
        likelihood = -0.5 * number * np.log(scale) - float(np.log(np.diag(factor[0])).sum())
        return _Fit(pairs, spread, likelihood, weights)

    def _drift(self) -> Numbers:
        time = np.linspace(-1, 1, len(self.losses))
        trends = np.stack(list(_powers(time)))
        found: Numbers = DRIFT * trends.T @ trends
        return found


def _powers(time: Numbers) -> Iterator[Numbers]:
    yield np.ones_like(time)
    yield time
    yield time**2


def _one_hot(archs: Sequence[Arch], choices: Sequence[int]) -> Numbers:
    """[n, S * C]."""
    indices = np.array(archs)
    marks = np.zeros((*indices.shape, max(choices)))
    np.put_along_axis(marks, indices[:, :, None], 1.0, axis=2)
    return marks.reshape(len(indices), -1)
