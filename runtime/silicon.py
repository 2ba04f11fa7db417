"""What a target's GPU is: clocks and bandwidths of its power modes, and peak rates."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from nascc.runtime.errors import UnknownPowerMode
from nascc.runtime.table import Positive, Precision, Table


@dataclass(frozen=True)
class Rates:
    """Peaks in one power mode and precision: matrices and single CUDA cores in GFLOPS, memory in GB/s, clock in MHz."""

    matrix_gflops: float
    core_gflops: float
    bandwidth_gb_per_s: float
    clock_mhz: float


class Silicon(Table):
    """The GPU. `memory_gb` is shared with the CPU. Peak rates are dense ones, in GFLOPS, at the default mode's clock.

    `clock_mhz` names the power modes as the device does, in lower case; a mode whose memory is slower or faster than
    `bandwidth_gb_per_s` stands in `mode_bandwidth_gb_per_s` too.
    """

    architecture: str
    compute_capability: Annotated[str, Field(pattern=r"^\d+\.\d$")]
    sm_count: Annotated[int, Field(gt=0)]
    cuda_cores: Annotated[int, Field(gt=0)]
    tensor_cores: Annotated[int, Field(ge=0)] = 0
    memory_gb: Positive
    bandwidth_gb_per_s: Positive
    fp32_gflops: Positive
    fp16_gflops: Positive
    clock_mhz: Annotated[dict[str, Positive], Field(min_length=1)]
    mode_bandwidth_gb_per_s: dict[str, Positive] | None = None
    default_mode: str

    @model_validator(mode="after")
    def _modes_exist(self) -> "Silicon":
        if self.default_mode not in self.clock_mhz:
            raise ValueError(f"default_mode must be one of {sorted(self.clock_mhz)}, got '{self.default_mode}'")
        if unknown := sorted(set(self.mode_bandwidth_gb_per_s or ()) - set(self.clock_mhz)):
            raise ValueError(f"mode_bandwidth_gb_per_s must name modes of clock_mhz, got '{unknown[0]}'")
        return self

    def mode(self, name: str | None) -> str:
        """The power mode of a name in any case, the default one for None. Raises UnknownPowerMode."""
        if name is None:
            return self.default_mode
        found = next((mode for mode in self.clock_mhz if mode.lower() == name.lower()), None)
        if found is None:
            raise UnknownPowerMode(f"power mode must be one of {', '.join(self.clock_mhz)}, got '{name}'")
        return found

    def rates(self, mode: str | None, precision: Precision) -> Rates:
        """Peak rates in a power mode. Tensor cores double at int8; single cores do two fp16 numbers at once."""
        name = self.mode(mode)
        scale = self.clock_mhz[name] / self.clock_mhz[self.default_mode]
        matrix = {"fp32": self.fp32_gflops, "fp16": self.fp16_gflops, "int8": 2 * self.fp16_gflops}[precision]
        cores = self.fp32_gflops * (1 if precision == "fp32" else 2)
        bandwidth = (self.mode_bandwidth_gb_per_s or {}).get(name, self.bandwidth_gb_per_s)
        return Rates(matrix * scale, cores * scale, bandwidth, self.clock_mhz[name])
