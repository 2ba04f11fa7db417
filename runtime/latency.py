"""How long a network takes on a target, from its kernels and the target's coefficients: always an estimate."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from nascc.runtime.errors import NotCalibrated, UnknownPowerMode
from nascc.runtime.kernels import Kernel
from nascc.runtime.kernels_cpu import as_on_cpu
from nascc.runtime.profile import Target
from nascc.runtime.silicon import Rates
from nascc.runtime.table import Precision

TERMS = ("conv", "pointwise", "depthwise", "memory", "launch", "reduction")
"""What the time of a kernel is made of, in the order of the coefficients."""
NOMINAL = Rates(matrix_gflops=100.0, core_gflops=100.0, bandwidth_gb_per_s=20.0, clock_mhz=1000.0)
"""Rates of a target without a silicon table; its coefficients are relative to these."""
_TERM_OF = {"conv": 0, "grouped": 0, "pointwise": 1, "gemm": 1, "matmul": 1, "depthwise": 2}
_ON_CORES = ("depthwise", "grouped")
_LAUNCHES = {"slice": 0.5, "concat": 0.5}
"""Launches of a kernel where they are not one: runtimes write about half of these copies in place."""


@dataclass(frozen=True)
class Setting:
    """Where and how a network runs: rates, precision, and the clock's slowdown against the calibrated power mode.

    `on_cpu` where onnxruntime runs it, whose kernels differ from a GPU's.
    """

    rates: Rates
    precision: Precision
    slowdown: float
    power_mode: str | None
    on_cpu: bool = False


@dataclass(frozen=True)
class Estimate:
    """Milliseconds of one inference, `estimated`; `calibration` tells what the number rests on.

    `terms` splits the time by TERMS and 'offset'.
    """

    ms: float
    calibration: str
    precision: Precision
    power_mode: str | None
    terms: dict[str, float]
    kind: str = "estimated"

    def __str__(self) -> str:
        mode = f", {self.power_mode}" if self.power_mode else ""
        return f"estimated {self.ms:.3g} ms, {self.precision}{mode} ({self.calibration})"


def usual_precision(target: Target) -> Precision:
    """The precision the target is calibrated in; else fp16 where it has that, else its first one."""
    if target.latency is not None:
        return target.latency.precision
    return "fp16" if "fp16" in target.precisions else target.precisions[0]


def setting_of(target: Target, power_mode: str | None = None, precision: Precision | None = None) -> Setting:
    """How `target` runs in a power mode and precision; the default mode, and the calibrated precision, for None.

    Raises UnknownPowerMode.
    """
    table, silicon = target.latency, target.silicon
    wanted = precision or usual_precision(target)
    if silicon is None:
        if power_mode is not None:
            raise UnknownPowerMode(f"target '{target.name}' has no power modes, got '{power_mode}'; leave it out")
        return Setting(NOMINAL, wanted, 1.0, None, target.software.runtime == "onnxruntime")
    mode = silicon.mode(power_mode)
    rates = silicon.rates(mode, wanted)
    calibrated = silicon.mode(table.power_mode if table is not None else None)
    slowdown = silicon.clock_mhz[calibrated] / rates.clock_mhz
    return Setting(rates, wanted, slowdown, mode, target.software.runtime == "onnxruntime")


def terms_of(kernel: Kernel, setting: Setting) -> tuple[float, ...]:
    """Milliseconds of a kernel by TERMS, for coefficients of one; all its occurrences together."""
    kernel = as_on_cpu(kernel) if setting.on_cpu else kernel
    terms = [0.0] * len(TERMS)
    if (place := _TERM_OF.get(kernel.kind)) is not None:
        rate = setting.rates.core_gflops if kernel.kind in _ON_CORES else setting.rates.matrix_gflops
        terms[place] = kernel.count * kernel.flops / (rate * 1e6)
    terms[3] = kernel.count * kernel.bytes(setting.precision) / (setting.rates.bandwidth_gb_per_s * 1e6)
    terms[4] = kernel.count * _LAUNCHES.get(kernel.kind, 1.0) * setting.slowdown * 1e-3
    terms[5] = kernel.count * kernel.reduction * setting.slowdown * 1e-6
    return tuple(terms)


def kernel_ms(kernel: Kernel, target: Target, setting: Setting) -> float:
    """Estimated milliseconds of one kernel, all its occurrences together. Raises NotCalibrated."""
    if target.latency is None:
        raise not_calibrated(target)
    return sum(c * t for c, t in zip(target.latency.coefficients, terms_of(kernel, setting), strict=True))


def estimate(
    kernels: Iterable[Kernel], target: Target, power_mode: str | None = None, precision: Precision | None = None
) -> Estimate:
    """Estimated latency of a network that runs as `kernels`, batch and size as they were described.

    Raises NotCalibrated for a target without coefficients, UnknownPowerMode.
    """
    table = target.latency
    if table is None:
        raise not_calibrated(target)
    setting = setting_of(target, power_mode, precision)
    sums = [0.0] * len(TERMS)
    for kernel in kernels:
        sums = [s + t for s, t in zip(sums, terms_of(kernel, setting), strict=True)]
    terms = {name: c * s for name, c, s in zip(TERMS, table.coefficients, sums, strict=True)}
    terms["offset"] = table.offset_ms
    calibration = table.calibration
    if setting.precision != table.precision:
        calibration += f"; {setting.precision} carried over from {table.precision}"
    if table.power_mode is not None and setting.slowdown != 1:
        calibration += f"; {setting.power_mode} scaled by clock from {table.power_mode}"
    return Estimate(sum(terms.values()), calibration, setting.precision, setting.power_mode, terms)


def not_calibrated(target: Target) -> NotCalibrated:
    """What to tell of a target without coefficients."""
    return NotCalibrated(
        f"target '{target.name}' must have latency coefficients for an estimate, found none; "
        f"measure a few networks there and fit them with `nascc profile --target {target.name} --measurements FILE`"
    )


def uncalibrated_setting(target: Target, power_mode: str | None, precision: Precision) -> Setting:
    """The setting that measurements were taken in: it is what the coefficients will hold for."""
    return replace(setting_of(target, power_mode, precision), slowdown=1.0)
