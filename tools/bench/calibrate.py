"""Fit the latency model of every target to the public measurements, and tell how well it predicts.

Run it from a checkout: `python -m nascc.tools.bench.calibrate`; `--write` puts the coefficients into the profiles.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from pathlib import Path

from rich.console import Console
from rich.table import Table

from nascc.runtime.calibration import Fit, Measurement, Prior, fit, table_of
from nascc.runtime.evaluation import Score, fitted, flops_proportional, half_and_half, left_out, roofline, score
from nascc.runtime.latency_table import LatencyTable, with_latency
from nascc.runtime.measurements import ANCHORS, TORCH2TRT, Row, public_networks, public_rows
from nascc.runtime.priors import prior_of
from nascc.runtime.profile import load_target
from nascc.runtime.refit import STRENGTH, measured_setting

MODES = {"orin-nano": "7w"}
"""The power mode that the public tables were measured in, where it is not the default one."""
CARRIED = {"orin-nx": ("orin", "orin-nano")}
"""Targets that nobody measured, and those whose coefficients, in clock cycles, they get the mean of."""
WEIGHT = {ANCHORS: 1.0, TORCH2TRT: 0.3}
"""The anchors were measured with the TensorRT of the profiles, torch2trt's networks with older ones."""
TARGETS = Path(__file__).resolve().parents[2] / "runtime" / "targets"


@dataclass(frozen=True)
class Calibrated:
    """A target's measurements, prior and fit."""

    name: str
    measurements: tuple[Measurement, ...]
    prior: Prior
    fit: Fit

    def of(self, source: str) -> list[Measurement]:
        return [m for m in self.measurements if m.source == source]

    @property
    def anchors_left_out(self) -> tuple[Score, list[float]]:
        """Each anchor predicted from the other anchors and the other source."""
        return left_out(self.of(ANCHORS), fitted(self.prior), self.of(TORCH2TRT))


def calibrate(name: str, rows: Sequence[Row], strength: float = STRENGTH) -> Calibrated:
    """Fit a target to its rows."""
    networks, setting = public_networks(), measured_setting(load_target(name), MODES.get(name))
    measured = tuple(
        Measurement(r.network, networks[r.network], r.latency_ms, setting, r.source, WEIGHT[r.source])
        for r in rows
        if r.target == name
    )
    prior = prior_of(load_target(name), MODES.get(name), strength)
    return Calibrated(name, measured, prior, fit(measured, prior))


def latency_table(found: Calibrated) -> LatencyTable:
    """What the profile of a calibrated target says."""
    error = found.anchors_left_out[0].mape_percent
    sources = tuple(s for s in WEIGHT if found.of(s))
    number = len(found.measurements)
    rest, expect = ("", "10 to 15 %") if number > 10 else (" and priors of its GPU generation", "10 to 20 %")
    text = (
        f"rests on {number} networks of {' and '.join(sources)}{rest}; "
        f"+-{error:.0f} % on those left out, expect {expect} elsewhere"
    )
    mode = found.measurements[0].setting.power_mode
    return table_of(
        found.fit, ANCHORS, calibration=text, precision="fp16", power_mode=mode, networks=number,
        sources=sources, error_percent=error,
    )  # fmt: skip


def carried_table(name: str, others: Sequence[Calibrated]) -> LatencyTable:
    """Coefficients for a target that nobody measured: the geometric mean of others, launches in clock cycles."""
    clock = measured_setting(load_target(name), None)
    scales = [o.measurements[0].setting.rates.clock_mhz / clock.rates.clock_mhz for o in others]
    columns = zip(*(o.fit.coefficients for o in others), strict=True)
    means = [exp(sum(map(log, column)) / len(column)) for column in columns]
    cycles = exp(sum(map(log, scales)) / len(scales))
    coefficients = (*means[:4], means[4] * cycles, means[5] * cycles)
    offset = sum(o.fit.offsets_ms[ANCHORS] for o in others) / len(others)
    names = " and ".join(o.name for o in others)
    return table_of(
        Fit(coefficients, {ANCHORS: offset}), ANCHORS, calibration=f"carried over from {names}; nothing measured on it",
        precision="fp16", power_mode=clock.power_mode, networks=0, sources=(),
    )  # fmt: skip


def print_sources(console: Console, all_found: Sequence[Calibrated]) -> None:
    """Half against half and each network left out, on the table with enough networks for it."""
    table = Table("torch2trt, FP16", "networks", "model", "half/half MAPE %", "tau", "left out MAPE %", "tau ")
    for found in all_found:
        measured = [Measurement(m.network, m.kernels, m.latency_ms, m.setting, m.source) for m in found.of(TORCH2TRT)]
        predictors = {"nascc": fitted(found.prior), "FLOPs": flops_proportional, "roofline": roofline}
        for label, predict in predictors.items() if measured else ():
            half, out = half_and_half(measured, predict), left_out(measured, predict)[0]
            numbers = (half.mape_percent, half.tau, out.mape_percent, out.tau)
            table.add_row(found.name, str(len(measured)), label, *(f"{n:.{2 if n < 1 else 1}f}" for n in numbers))
    console.print(table)


def print_anchors(console: Console, all_found: Sequence[Calibrated]) -> None:
    """Errors on the anchors: fitted, each left out, and of the baselines."""
    table = Table("anchors, FP16", "network", "measured ms", "fitted %", "left out %", "FLOPs %", "roofline %", "order")
    for found in all_found:
        anchors = found.of(ANCHORS)
        known = [found.fit.predict(m) for m in anchors]
        columns = (known, found.anchors_left_out[1], left_out(anchors, flops_proportional)[1], roofline([], anchors))
        tau = score(known, [m.latency_ms for m in anchors]).tau
        for row, m in enumerate(anchors):
            errors = (f"{(c[row] / m.latency_ms - 1) * 100:+.0f}" for c in columns)
            label = m.network.partition(":")[2]
            table.add_row(found.name, label, f"{m.latency_ms:.2f}", *errors, "right" if tau == 1 else f"tau {tau:.2f}")
    console.print(table)


def write(tables: dict[str, LatencyTable]) -> None:
    """Put the coefficients into the profiles of the checkout."""
    for name, table in tables.items():
        path = TARGETS / f"{name}.toml"
        path.write_text(with_latency(path.read_text("utf-8"), table), encoding="utf-8")


def main() -> None:
    """Fit, print, and write where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the coefficients into runtime/targets/*.toml")
    options = parser.parse_args()
    rows, console = public_rows(), Console(width=120)
    found = {name: calibrate(name, rows) for name in dict.fromkeys(r.target for r in rows)}
    print_sources(console, list(found.values()))
    print_anchors(console, list(found.values()))
    tables = {name: latency_table(c) for name, c in found.items()}
    tables |= {name: carried_table(name, [found[o] for o in others]) for name, others in CARRIED.items()}
    for name, table in tables.items():
        console.print(f"{name}: {table.calibration}", highlight=False)
    if options.write:
        write(tables)


if __name__ == "__main__":
    main()
