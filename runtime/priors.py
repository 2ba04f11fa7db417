"""What is expected of a device before anything was measured on it, by generation of GPU."""

from nascc.runtime.calibration import Prior
from nascc.runtime.latency import NOMINAL
from nascc.runtime.profile import Target

_CYCLES: dict[str, tuple[float, float, float, float, float, float]] = {
    # conv, pointwise, depthwise, memory: shares of the peak; kilocycles a launch; cycles a summed product
    "5": (1.0, 0.8, 0.017, 0.5, 16.0, 4.0),
    "6": (1.0, 0.8, 0.03, 0.5, 20.0, 4.0),
    "7": (0.8, 0.8, 0.2, 0.8, 13.0, 4.0),
    "8": (0.9, 0.9, 0.35, 1.1, 8.0, 2.5),
}
"""By the major number of the compute capability; the last one stands for whatever is newer."""
OFFSET_MS = 0.2
_CPU = (1.2, 1.0, 1.5, 2.0, 2.0, 1.0)
"""The same of one thread of a CPU with AVX-512 in onnxruntime, of nominal rates."""
_CPU_OFFSET_MS = 0.02


def prior_of(target: Target, power_mode: str | None = None, strength: float = 0.1) -> Prior:
    """The prior at the clock of a power mode. A target without silicon expects its nominal rates."""
    silicon = target.silicon
    if silicon is None and target.software.runtime == "onnxruntime":
        *shares, launch, reduction = _CPU
        return Prior((*(1 / s for s in shares), launch, reduction), _CPU_OFFSET_MS, strength)
    major = silicon.compute_capability.partition(".")[0] if silicon is not None else "8"
    *shares, launch, reduction = _CYCLES.get(major, _CYCLES["8"])
    mhz = silicon.clock_mhz[silicon.mode(power_mode)] if silicon is not None else NOMINAL.clock_mhz
    return Prior((*(1 / s for s in shares), launch * 1e3 / mhz, reduction * 1e3 / mhz), OFFSET_MS, strength)
