"""Fit the coefficients of a latency model to measured networks, starting from a prior."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from nascc.runtime.kernels import Kernel
from nascc.runtime.latency import TERMS, Setting, terms_of
from nascc.runtime.latency_table import Efficiency, LatencyTable

Vector = NDArray[np.float64]
SMALLEST = 1e-6
"""A coefficient that came out as zero is kept this far above it, as a share of its prior."""


@dataclass(frozen=True)
class Measurement:
    """A network as kernels, and its latency in ms from one source; `weight` is how much it counts."""

    network: str
    kernels: tuple[Kernel, ...]
    latency_ms: float
    setting: Setting
    source: str
    weight: float = 1.0


@dataclass(frozen=True)
class Prior:
    """What is expected before anything was measured: coefficients in the order of TERMS, and an offset in ms.

    `strength` is how much that counts, as a relative error: a coefficient off by its whole prior weighs as much as a
    network off by it.
    """

    coefficients: tuple[float, ...]
    offset_ms: float
    strength: float = 0.1


@dataclass(frozen=True)
class Fit:
    """Coefficients in the order of TERMS, and one offset in ms a source."""

    coefficients: tuple[float, ...]
    offsets_ms: Mapping[str, float]

    def predict(self, measured: Measurement) -> float:
        """Milliseconds of a network, measured the way of its source."""
        return float(features(measured) @ np.asarray(self.coefficients)) + self.offsets_ms[measured.source]


def features(measured: Measurement) -> Vector:
    """The terms of a whole network for coefficients of one."""
    sums = np.zeros(len(TERMS))
    for kernel in measured.kernels:
        sums += terms_of(kernel, measured.setting)
    return sums


def fit(measurements: Sequence[Measurement], prior: Prior, sources: Sequence[str] = ()) -> Fit:
    """Coefficients, none negative, with the least squared relative errors, drawn to the prior.

    Every source has its own offset; `sources` names some that shall have one although nothing of them is measured.
    """
    names = tuple(dict.fromkeys([*(m.source for m in measurements), *sources]))
    rows, goals = _rows(measurements, names)
    expected = np.array([*prior.coefficients, *[prior.offset_ms] * len(names)])
    pull = prior.strength * np.eye(len(expected))
    # unknowns are shares of the prior, so that one strength fits all of them
    matrix = np.vstack([rows * expected, pull])
    shares, _ = nnls(matrix, np.concatenate([goals, pull.sum(1)]))
    found = np.maximum(shares, SMALLEST) * expected
    offsets = dict(zip(names, map(float, found[len(TERMS) :]), strict=True))
    return Fit(tuple(map(float, found[: len(TERMS)])), offsets)


def _rows(measurements: Sequence[Measurement], names: Sequence[str]) -> tuple[Vector, Vector]:
    rows = np.zeros((len(measurements), len(TERMS) + len(names)))
    goals = np.zeros(len(measurements))
    for row, measured in enumerate(measurements):
        rows[row, : len(TERMS)] = features(measured)
        rows[row, len(TERMS) + names.index(measured.source)] = 1.0
        rows[row] *= measured.weight / measured.latency_ms
        goals[row] = measured.weight
    return rows, goals


def table_of(found: Fit, source: str, **told: Any) -> LatencyTable:
    """A fit as the `[latency]` table of a profile, with the offset of `source`."""
    conv, pointwise, depthwise, memory, launch, reduction = found.coefficients
    efficiency = Efficiency(conv=1 / conv, pointwise=1 / pointwise, depthwise=1 / depthwise, memory=1 / memory)
    return LatencyTable(
        offset_ms=found.offsets_ms[source], launch_us=launch, reduction_ns=reduction, efficiency=efficiency, **told
    )
