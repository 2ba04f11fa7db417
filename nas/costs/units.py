"""Units of costs, and how they are written."""

import math

from nascc.nas.costs.metrics import UNITS
from nascc.nas.errors import SearchError

_COUNT = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BYTE = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
SCALES: dict[str, dict[str, float]] = {
    "latency": {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3},
    "energy": {"uJ": 1e-3, "µJ": 1e-3, "mJ": 1.0, "J": 1e3},
    "macs": _COUNT,
    "params": _COUNT,
    "bytes": {f"{prefix}B": scale for prefix, scale in _BYTE.items()},
}
"""What one of a unit is in the unit of the metric's cost."""
EXAMPLES = {"latency": "12ms", "energy": "500mJ", "macs": "600M", "params": "4M", "bytes": "4MB"}
"""One way to write a value of each metric."""


def scale_of(metric: str, unit: str) -> float:
    """What one `unit` is in the unit of a metric's cost. Raises SearchError, which names the units there are."""
    scales = SCALES[metric]
    if unit not in scales:
        units = ", ".join(name or "none" for name in scales)
        raise SearchError(f"the unit of {metric} must be one of {units}, got '{unit or 'none'}'")
    return scales[unit]


def written(value: float, metric: str) -> str:
    """A value in the unit of the metric's cost as a person reads it: `12.3 ms`, `604 M`, `4.19 MB`."""
    if metric in ("latency", "energy"):
        return f"{value:.4g} {UNITS[metric]}"
    power = min(3, max(0, int(math.log10(abs(value)) // 3))) if value else 0
    unit = ("", "k", "M", "G")[power] + UNITS[metric]
    return f"{value / 1e3**power:.4g} {unit}".rstrip()


def written_up(value: float, metric: str) -> str:
    """A value rounded up to the four digits that are written, so that it is enough to ask for it."""
    if value <= 0:
        return written(value, metric)
    step = 10.0 ** (math.floor(math.log10(value)) - 3)
    return written(math.ceil(value / step * (1 - 1e-12)) * step, metric)
