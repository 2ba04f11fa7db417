"""The `[latency]` table of a profile: coefficients of the latency model, and the measurements they rest on."""

from typing import Annotated

from pydantic import Field

from nascc.runtime.table import NotNegative, Positive, Precision, Table


class Efficiency(Table):
    """The share of a peak rate that kernels reach; above 1 where an algorithm saves multiplications.

    conv and pointwise of the matrix peak, depthwise of the single cores' peak, memory of the bandwidth.
    """

    conv: Positive
    pointwise: Positive
    depthwise: Positive
    memory: Positive


class LatencyTable(Table):
    """Coefficients of t = offset + sum over kernels of [F / (P e) + bytes / (B e) + launch + reduction * K].

    `launch_us` a kernel and `reduction_ns` a product summed into one output hold at the clock of `power_mode`;
    `offset_ms` belongs to the way of measuring. `error_percent` is the mean absolute error with each network left out.
    """

    calibration: Annotated[str, Field(min_length=1)]
    precision: Precision
    power_mode: str | None = None
    offset_ms: NotNegative
    launch_us: NotNegative
    reduction_ns: NotNegative
    efficiency: Efficiency
    networks: Annotated[int, Field(ge=0)]
    sources: Annotated[tuple[str, ...], Field(strict=False)] = ()
    error_percent: NotNegative | None = None

    @property
    def coefficients(self) -> tuple[float, ...]:
        """What multiplies the terms of a kernel, in the order of `nascc.runtime.latency.TERMS`."""
        e = self.efficiency
        return (1 / e.conv, 1 / e.pointwise, 1 / e.depthwise, 1 / e.memory, self.launch_us, self.reduction_ns)

    def to_toml(self) -> str:
        """The table as it stands in a profile."""
        lines = ["[latency]", f"calibration = {_text(self.calibration)}", f'precision = "{self.precision}"']
        if self.power_mode is not None:
            lines.append(f"power_mode = {_text(self.power_mode)}")
        numbers = ("offset_ms", "launch_us", "reduction_ns")
        lines += [f"{name} = {_number(getattr(self, name))}" for name in numbers]
        lines += [f"networks = {self.networks}", f"sources = [{', '.join(map(_text, self.sources))}]"]
        if self.error_percent is not None:
            lines.append(f"error_percent = {_number(round(self.error_percent, 1))}")
        shares = [f"{name} = {_number(share)}" for name, share in self.efficiency.model_dump().items()]
        return "\n".join([*lines, "", "[latency.efficiency]", *shares, ""])


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _number(value: float) -> str:
    return repr(float(f"{value:.4g}"))


def with_latency(profile: str, table: LatencyTable) -> str:
    """The text of a profile with its `[latency]` tables, which stand last, replaced."""
    head = profile.split("\n[latency", 1)[0].rstrip()
    return f"{head}\n\n{table.to_toml()}"
