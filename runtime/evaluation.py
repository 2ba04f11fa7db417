"""How well a latency model predicts networks it has not seen: errors and rank correlation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau

from nascc.runtime.calibration import Measurement, Prior, fit

Predictor = Callable[[Sequence[Measurement], Sequence[Measurement]], list[float]]
"""From what was measured and what is asked, milliseconds of each network asked."""


@dataclass(frozen=True)
class Score:
    """Mean and largest absolute error in percent, and Kendall's rank correlation."""

    mape_percent: float
    worst_percent: float
    tau: float


def score(predicted: Sequence[float], measured: Sequence[float]) -> Score:
    """Compare predictions with measurements, both in ms."""
    errors = np.abs(np.asarray(predicted) / np.asarray(measured) - 1) * 100
    tau = kendalltau(predicted, measured).statistic if len(errors) > 1 else 1.0
    return Score(float(errors.mean()), float(errors.max()), float(tau))


def fitted(prior: Prior) -> Predictor:
    """The latency model, fitted on what was measured."""

    def predict(known: Sequence[Measurement], asked: Sequence[Measurement]) -> list[float]:
        found = fit(known, prior, [m.source for m in asked])
        return [found.predict(m) for m in asked]

    return predict


def flops_proportional(known: Sequence[Measurement], asked: Sequence[Measurement]) -> list[float]:
    """Time proportional to floating point operations, the factor fitted."""
    rate = sum(_flops(m) / m.latency_ms for m in known) / sum((_flops(m) / m.latency_ms) ** 2 for m in known)
    return [rate * _flops(m) for m in asked]


def _flops(measured: Measurement) -> float:
    return float(sum(k.count * k.flops for k in measured.kernels))


def roofline(known: Sequence[Measurement], asked: Sequence[Measurement]) -> list[float]:
    """The data sheet alone: every kernel takes the longer of computing and moving at peak rates."""
    del known
    return [
        sum(_peak_ms(m, k.count * k.flops, k.count * k.bytes(m.setting.precision)) for k in m.kernels) for m in asked
    ]


def _peak_ms(measured: Measurement, flops: int, moved: int) -> float:
    rates = measured.setting.rates
    return max(flops / rates.matrix_gflops, moved / rates.bandwidth_gb_per_s) / 1e6


def half_and_half(measurements: Sequence[Measurement], predict: Predictor, splits: int = 30) -> Score:
    """Fit on half, test on the other half; means over random splits, seeded by their number."""
    scores = []
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(measurements))
        known = [measurements[i] for i in order[: len(order) // 2]]
        asked = [measurements[i] for i in order[len(order) // 2 :]]
        scores.append(score(predict(known, asked), [m.latency_ms for m in asked]))
    means = np.mean([(s.mape_percent, s.worst_percent, s.tau) for s in scores], axis=0)
    return Score(*map(float, means))


def left_out(
    measurements: Sequence[Measurement], predict: Predictor, others: Sequence[Measurement] = ()
) -> tuple[Score, list[float]]:
    """Predict each network from all but itself, and from `others`; the score and the predictions."""
    predicted = []
    for asked in measurements:
        known = [m for m in measurements if m.network != asked.network]
        predicted += predict([*known, *others], [asked])
    return score(predicted, [m.latency_ms for m in measurements]), predicted
