"""Every plot that a report has the series for."""

from collections.abc import Callable, Iterator
from pathlib import Path

from nascc.compiler.report import Report, Series
from nascc.nas.plots.architecture import plot_architecture
from nascc.nas.plots.candidates import plot_proxy, plot_speedups
from nascc.nas.plots.canvas import UNITS, Curve
from nascc.nas.plots.curves import plot_budget, plot_curves
from nascc.nas.plots.deviation import plot_deviation
from nascc.nas.plots.operations import plot_operations
from nascc.nas.plots.predictor import plot_predictor
from nascc.nas.plots.probabilities import plot_probabilities
from nascc.nas.run.files import write_whole

Plots = Iterator[tuple[str, bytes]]
Named = dict[str, Series]


def draw_report(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write the plots of `report` into `folder` as 'phase-what.svg' and return their paths. Raises OSError."""
    paths = []
    for name, content in plots(report):
        write_whole(path := folder / f"{name.replace('/', '-')}.svg", content)
        paths.append(path)
    return tuple(paths)


def plots(report: Report) -> Plots:
    """Name and SVG of each plot."""
    for phase in dict.fromkeys(series.phase for series in report.series):
        if phase.endswith("/random"):
            continue
        found = {series.name: series for series in report.series if series.phase == phase}
        yield from _budgets(phase, found)
        yield from _groups(phase, found)
        yield from _probabilities(phase, found, report)
        yield from _predictor(phase, found)
        yield from _deviation(phase, found, report)
        yield from _speedups(phase, found, report)
        yield from _proxy(phase, report)
    if report.search is not None and report.search.best is not None and report.search.best.blocks:
        yield "architecture", plot_architecture("architecture", report.search.best.blocks)
        if report.search.method == "hant":
            networks = [best.blocks for best in report.search.results or (report.search.best,)]
            yield "operations", plot_operations("operations that were chosen", networks)


def _budgets(phase: str, found: Named) -> Plots:
    for metric in UNITS:
        if metric in found and (cost := _curve(found[metric])):
            limit = _curve(found[f"{metric}_limit"]) if f"{metric}_limit" in found else None
            yield f"{phase}-{metric}", plot_budget(f"{phase}: {metric}", metric, cost, limit)


def _groups(phase: str, found: Named) -> Plots:
    groups: dict[str, Callable[[str], bool]] = {
        "loss": lambda name: name.endswith("loss"),
        "accuracy": lambda name: name.endswith("accuracy"),
        "rmse": lambda name: name.endswith("rmse"),
        "delta1": lambda name: name.endswith("delta1"),
        "lambda": lambda name: name.startswith("lambda"),
    }
    for group, belongs in groups.items():
        curves = {name: curve for name, series in found.items() if belongs(name) and (curve := _curve(series))}
        if curves:
            yield f"{phase}-{group}", plot_curves(f"{phase}: {group}", curves, group)


def _probabilities(phase: str, found: Named, report: Report) -> Plots:
    if (series := found.get("probabilities")) is None or not isinstance(series.values[-1], list):
        return
    slots = report.search.slots if report.search is not None else ()
    rows = [[float(p) for p in row if isinstance(p, int | float)] for row in series.values[-1] if isinstance(row, list)]
    if len(slots) == len(rows):
        names, operators = [slot.name for slot in slots], [slot.operators for slot in slots]
        rows = [row[: len(slot.operators)] for row, slot in zip(rows, slots, strict=True)]
    else:
        names, operators = [], []
    title = f"{phase}: operator probabilities at step {series.steps[-1]}"
    yield f"{phase}-probabilities", plot_probabilities(title, rows, names, operators)


def _predictor(phase: str, found: Named) -> Plots:
    if "predicted" in found and "truth" in found and found["predicted"].steps == found["truth"].steps:
        predicted, truth = _curve(found["predicted"]), _curve(found["truth"])
        if predicted and truth:
            yield f"{phase}-predictor", plot_predictor(f"{phase}: predictor", "cost", predicted[1], truth[1])


def _deviation(phase: str, found: Named, report: Report) -> Plots:
    if (series := found.get("deviation")) is None or not isinstance(series.values[-1], list):
        return
    rows = [[float(v) for v in row if isinstance(v, int | float)] for row in series.values[-1] if isinstance(row, list)]
    slots = [slot.name for slot in report.search.slots] if report.search is not None else []
    names = slots if len(slots) == len(rows) else []
    yield f"{phase}-deviation", plot_deviation(f"{phase}: kernels at step {series.steps[-1]}", rows, names)


def _speedups(phase: str, found: Named, report: Report) -> Plots:
    if "speedups" in found and "drops" in found and report.search is not None:
        rows = zip(found["speedups"].values, found["drops"].values, strict=True)
        names = [slot.name for slot in report.search.slots]
        blocks = {name: (_numbers(a), _numbers(b)) for name, (a, b) in zip(names, rows, strict=False)}
        yield f"{phase}-speedups", plot_speedups(f"{phase}: every candidate alone", blocks)


def _proxy(phase: str, report: Report) -> Plots:
    """Of a phase and its part of random networks together."""
    groups = {}
    for part, name in ((phase, "found"), (f"{phase}/random", "random")):
        series = {s.name: s for s in report.series if s.phase == part}
        if "proxy" in series and "real" in series:
            groups[name] = (_numbers(series["proxy"].values), _numbers(series["real"].values))
    if "found" in groups:
        yield f"{phase}-proxy", plot_proxy(f"{phase}: scores against whole students", groups)


def _numbers(values: object) -> list[float]:
    return [float(v) for v in values if isinstance(v, int | float)] if isinstance(values, (list, tuple)) else []


def _curve(series: Series) -> Curve | None:
    """Steps and values where all values are numbers."""
    values = [float(value) for value in series.values if isinstance(value, int | float)]
    return (series.steps, values) if len(values) == len(series.steps) else None
