"""Latencies as distributions, and how two of them compare when they were measured in pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm


@dataclass(frozen=True)
class Distribution:
    """Percentiles of `n` latencies, in milliseconds."""

    median_ms: float
    p10_ms: float
    p90_ms: float
    p99_ms: float
    n: int

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> "Distribution":
        """The distribution of at least one latency."""
        p10, median, p90, p99 = np.percentile(milliseconds, (10, 50, 90, 99))
        return cls(float(median), float(p10), float(p90), float(p99), len(milliseconds))


@dataclass(frozen=True)
class Ratio:
    """How often one latency goes into another, with its 95 % interval, from `n` pairs."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.3f} (95 % between {self.low:.3f} and {self.high:.3f}, {self.n} pairs)"


def paired_ratio(ms: Sequence[float], other_ms: Sequence[float]) -> Ratio:
    """The ratio of latencies of which each pair was taken at the same time: ms / other_ms.

    The Hodges-Lehmann estimate, the median of all means of two, of the logarithms: of what withstands outliers it uses
    the pairs best. The interval is that of the Wilcoxon signed-rank test.
    """
    logarithms = np.log(np.asarray(ms)) - np.log(np.asarray(other_ms))
    n = len(logarithms)
    rows, columns = np.triu_indices(n)
    means = np.sort((logarithms[rows] + logarithms[columns]) / 2)
    outside = n * (n + 1) / 4 - norm.ppf(0.975) * np.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    k = min(max(int(outside), 0), (len(means) - 1) // 2)
    value, low, high = (float(np.exp(x)) for x in (np.median(means), means[k], means[-1 - k]))
    return Ratio(value, low, high, n)
