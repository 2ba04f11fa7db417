"""What `nascc bench` found, as the parts of a report and as lines for a person."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from nascc.tools.render import amount, line, table

if TYPE_CHECKING:
    from nascc.compiler.report import Latency, Object
    from nascc.runtime.kernels import Kernel
    from nascc.runtime.latency import Estimate
    from nascc.runtime.measure import Timings
    from nascc.runtime.profile import Target

DIGITS = 4


def measured_latency(found: "Timings") -> "Latency":
    """The distribution of the first file; `ratio` is the second file's latency over the first's, paired."""
    from nascc.compiler.report import Latency

    own, *others = (timing.spent for timing in found.timings)
    return Latency(
        kind="measured",
        **{name: round(value, DIGITS) for name, value in asdict(own).items()},
        anchor_drift_percent=round(found.drift_percent, 2),
        before_ms=round(others[0].median_ms, DIGITS) if others else None,
        ratio=round(found.ratio(1, 0).value, DIGITS) if others else None,
    )


def estimated_latency(found: "Sequence[Estimate]", target: "Target") -> "Latency":
    """The estimate of the first file; `ratio` is the second file's latency over the first's."""
    from nascc.compiler.report import Latency

    own, *others = found
    return Latency(
        kind="estimated",
        calibration=f"{target.name}, {own.precision}, {own.power_mode or 'no power modes'}: {own.calibration}",
        median_ms=round(own.ms, DIGITS),
        before_ms=round(others[0].ms, DIGITS) if others else None,
        ratio=round(others[0].ms / own.ms, DIGITS) if others else None,
    )


def measured_lines(files: Sequence[str], found: "Timings") -> list[str]:
    """A line a file, how they compare, and how they were measured."""
    lines = []
    for file, timing in zip(files, found.timings, strict=True):
        t = timing.spent
        text = f"{t.median_ms:.3g} ms  {file}   p10 {t.p10_ms:.3g}, p90 {t.p90_ms:.3g}, p99 {t.p99_ms:.3g}, {t.n} runs"
        lines.append(line("measured", text))
    if len(files) > 1:
        ratio = found.ratio(1, 0)
        lines.append(line("ratio", f"'{files[1]}' takes {ratio} of the time of '{files[0]}'"))
    threads = "1 thread" if found.threads == 1 else f"{found.threads} threads"
    clock = f"{threads}, {found.clock} time, anchor drifted {found.drift_percent:+.1f} %"
    return [*lines, line("how", f"onnxruntime on this CPU, {clock}")]


def estimated_lines(files: Sequence[str], found: "Sequence[Estimate]", target: "Target") -> list[str]:
    """A line a file, how they compare, and what the numbers rest on."""
    own = found[0]
    mode = f", {own.power_mode}" if own.power_mode else ""
    where = f"on {target.name}, {own.precision}{mode}"
    lines = [line("estimated", f"{e.ms:.3g} ms  {file}   {where}") for file, e in zip(files, found, strict=True)]
    if len(files) > 1:
        lines.append(
            line("ratio", f"'{files[1]}' takes {found[1].ms / own.ms:.3f} of the time of '{files[0]}', estimated")
        )
    return [*lines, line("rests on", own.calibration.removeprefix("rests on "))]


def kernel_entries(kernels: "Sequence[Kernel]", target: "Target", power_mode: str | None) -> "tuple[Object, ...]":
    """Each kernel with its sizes and, where the target is calibrated, its estimated milliseconds."""
    from nascc.runtime.latency import kernel_ms, setting_of

    setting = setting_of(target, power_mode)
    entries: list[Object] = []
    for kernel in kernels:
        entry: Object = {
            "name": kernel.name, "kind": kernel.kind, "operators": list(kernel.operators), "flops": kernel.flops,
            "read": kernel.read, "written": kernel.written, "weights": kernel.weights, "reduction": kernel.reduction,
            "bytes": kernel.bytes(setting.precision), "precision": setting.precision,
        }  # fmt: skip
        if kernel.channels_in:
            entry |= {"channels_in": kernel.channels_in, "channels_out": kernel.channels_out}
        if target.latency is not None:
            entry["estimated_ms"] = round(kernel_ms(kernel, target, setting), 6)
        entries.append(entry)
    return tuple(entries)


def kernel_lines(entries: "Sequence[Object]") -> list[str]:
    """A table with a row a kernel and a row for all of them."""
    rows = {f"{k:>3} {e['kind']} {str(e['name'])[-40:]}": _cells(e) for k, e in enumerate(entries, start=1)}
    sums: Object = {key: sum(float(str(e.get(key, 0))) for e in entries) for key in ("flops", "bytes", "estimated_ms")}
    rows["    all"] = {**_cells(sums), "operators": str(sum(len(str(e["operators"]).split(",")) for e in entries))}
    return table(rows)


def _cells(entry: "Object") -> dict[str, str]:
    cells: dict[str, str] = {}
    if "channels_in" in entry:
        cells["channels"] = f"{entry['channels_in']}->{entry['channels_out']}"
    for key in ("read", "written", "weights", "flops", "bytes"):
        if key in entry:
            cells[key] = amount(float(str(entry[key])))
    if "reduction" in entry:
        cells["reduction"] = str(entry["reduction"])
    if isinstance(operators := entry.get("operators"), list):
        cells["operators"] = str(len(operators))
    if "estimated_ms" in entry:
        cells["estimated ms"] = f"{float(str(entry['estimated_ms'])):.4f}"
    return cells
