"""What is counted: latency, macs, params, bytes, all from kernels."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nascc.nas.costs.deployment import Deployment
from nascc.nas.errors import SearchError
from nascc.runtime.kernels import Kernel
from nascc.runtime.latency import estimate, kernel_ms, not_calibrated, setting_of

UNITS = {"latency": "ms", "energy": "mJ", "macs": "", "params": "", "bytes": "B"}
"""Metrics, and the units of their costs."""


@dataclass(frozen=True)
class Metric:
    """A number of a compiled network: `constant` + the sum of `of` over its pieces; `whole` says it of all at once.

    Both take kernels and the number of constants.
    """

    name: str
    of: Callable[[Iterable[Kernel], int], float]
    whole: Callable[[Iterable[Kernel], int], float]
    constant: float = 0.0

    @property
    def unit(self) -> str:
        return UNITS[self.name]


def metric_of(name: str, place: Deployment) -> Metric:
    """`latency` (ms, the target's model), `macs` (of convolutions and matrix products, an image), `params` (constants
    after folding), `bytes` (moved in one inference of the batch, each number once, in the target's precision).

    Raises NotCalibrated for a latency where the target has no model, SearchError for another name.
    """
    makers = {"latency": _latency, "macs": _macs, "params": _params, "bytes": _bytes}
    if name not in makers:
        what = "must come from measurements" if name in UNITS else "is unknown"
        raise SearchError(f"a described cost must be one of {', '.join(makers)}, but '{name}' {what}")
    return makers[name](place)


def _latency(place: Deployment) -> Metric:
    target = place.target
    if target.latency is None:
        raise not_calibrated(target)
    setting = setting_of(target, place.power_mode)

    def pieces(kernels: Iterable[Kernel], params: int) -> float:
        return sum(kernel_ms(kernel, target, setting) for kernel in kernels)

    def whole(kernels: Iterable[Kernel], params: int) -> float:
        return estimate(kernels, target, place.power_mode).ms

    return Metric("latency", pieces, whole, target.latency.offset_ms)


def _macs(place: Deployment) -> Metric:
    def macs(kernels: Iterable[Kernel], params: int) -> float:
        return sum(kernel.count * kernel.macs for kernel in kernels) / place.batch

    return Metric("macs", macs, macs)


def _params(place: Deployment) -> Metric:
    def params_of(kernels: Iterable[Kernel], params: int) -> float:
        return float(params)

    return Metric("params", params_of, params_of)


def _bytes(place: Deployment) -> Metric:
    precision = setting_of(place.target, place.power_mode).precision

    def moved(kernels: Iterable[Kernel], params: int) -> float:
        return float(sum(kernel.count * kernel.bytes(precision) for kernel in kernels))

    return Metric("bytes", moved, moved)
