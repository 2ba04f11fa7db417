"""A run as lines for a person: its phases, what it found, and what comes next."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import JsonValue

from nascc.tools.render import line, worst

MEASURES = ("accuracy", "rmse", "delta1")
"""How good a network is, by the names that its evaluation has."""

SHARES = ("accuracy", "delta1")

if TYPE_CHECKING:
    from nascc.compiler.report import Block, Report, Search


def lines(run: Path, report: "Report", plots: Sequence[Path]) -> Iterator[str]:
    """Everything worth knowing, one line each."""
    unfinished = yield from phases(run)
    if report.search is not None:
        yield from findings(report.search)
    if report.verify:
        errors = ", ".join(f"{side} {error:.1g}" for side, error in worst(report.verify).items())
        yield line("verified", f"{errors}: largest relative errors against the trained network")
    for warning in report.warnings:
        yield line("warning", warning)
    yield line("wrote", f"{run / 'report.json'} and {len(plots)} plots in {run / 'plots'}")
    if unfinished:
        yield line("next", f"nascc search --resume {run}")
    for folder in deployed(run):
        names = ", ".join(sorted(path.name for path in folder.iterdir()))
        yield line("deploy", f"{folder}: {names}")


def next_steps(run: Path, target: str, trains: bool = True) -> Iterator[str]:
    """What to type after a run that is finished; `trains` says whether `nascc train` takes it."""
    deploy = deployed(run)[0]
    script = next(deploy.glob("*.py")).name
    yield line("next", f"python {deploy}/{script} IMAGE ...   runs it on images")
    yield line("", f"nascc check {deploy}/model.onnx --target {target}   says what the target makes of every operator")
    if not trains:
        return
    yield line("", f"nascc train {run} --epochs N   trains it again, longer or by --teacher; nothing is searched anew")


def deployed(run: Path) -> list[Path]:
    """The folders that hold a network each, in the order of their names."""
    return sorted(path.parent for path in run.glob("deploy*/model.onnx"))


def phases(run: Path) -> Generator[str, None, bool]:
    """The phases with the time each took; the value says whether one is unfinished."""
    from nascc.nas.run.directory import JOURNAL, TIMING
    from nascc.nas.run.journal import read_lines
    from nascc.nas.run.results import read_results
    from nascc.nas.run.stopping import duration
    from nascc.nas.run.timing import seconds_per_phase

    finished = {result.phase for result in read_results(run)}
    seconds = seconds_per_phase(run / TIMING)
    reached: dict[str, int | None] = {}
    for entry in read_lines(run / JOURNAL):
        reached[entry["phase"]] = entry.get("step", reached.get(entry["phase"]))
    for phase, step in reached.items():
        state = "finished" if phase in finished else "begun" if step is None else f"at step {step}"
        yield line(phase, f"{state} after {duration(seconds.get(phase, 0.0))}")
    return not set(reached) <= finished


def findings(search: "Search") -> Iterator[str]:
    """What was asked for, what is possible and what was found."""
    yield line("method", search.method)
    for metric, wanted in (search.budget or {}).items():
        yield line("budget", f"{metric} {_wanted(metric, wanted)}")
    for metric, reach in (search.reachable or {}).items():
        yield line("reachable", f"{metric} {_reach(metric, reach)}")
    for best in search.results or filter(None, (search.best,)):
        yield line("found", f"{best.goal + ': ' if best.goal else ''}{best.arch}")
        yield line("", ", ".join(_numbers(best.score | best.cost)))
        yield from linear_blocks(best.blocks)
    for baseline in search.baseline:
        yield line("baseline", baseline_words(baseline))


def linear_blocks(blocks: "Sequence[Block]") -> Iterator[str]:
    """'block3 k5e3l: collapsed, one convolution takes 0.03 ms, three 0.2 ms; error 2e-07'."""
    for block in blocks:
        if block.linear:
            what = "collapsed" if block.collapsed else "kept"
            error = "" if block.error is None else f"; error {block.error:.1g}"
            yield line("", f"{block.name} {block.operator}: {what}, {block.reason}{error}")


def baseline_words(baseline: Mapping[str, JsonValue]) -> str:
    """A network beside the found one: 'random1: accuracy 84 %, latency 3.02 ms, k3e3 skip'."""
    name, arch, cost = (baseline.get(key) for key in ("name", "arch", "cost"))
    numbers = {name: baseline.get(name) for name in MEASURES} | (cost if isinstance(cost, dict) else {})
    resolution = baseline.get("resolution", 1.0)
    side = [] if resolution == 1.0 or not isinstance(resolution, float) else [f"{100 * resolution:.0f} % of the side"]
    return f"{name}: {', '.join((*_numbers(numbers), *side))}, {arch}"


def _wanted(metric: str, wanted: JsonValue) -> str:
    """'45%: at most 3.1 ms'."""
    if not isinstance(wanted, dict):
        return shown(wanted)
    limits = wanted.get("at_most")
    amounts = [_amount(metric, limit) if limit is not None else "anything" for limit in limits or ()]  # type: ignore[union-attr]
    return f"{wanted.get('asked')}: at most {', '.join(amounts)}"


def _reach(metric: str, reach: JsonValue) -> str:
    """'0.451 ms to 6.34 ms'."""
    if not isinstance(reach, dict):
        return shown(reach)
    return f"{_amount(metric, reach.get('least'))} to {_amount(metric, reach.get('most'))}"


def _numbers(values: Mapping[str, JsonValue]) -> Iterator[str]:
    """Each with its name and unit, without those that are not there."""
    for name, value in values.items():
        if value is not None:
            yield f"{name} {_amount(name, value)}"


def _amount(name: str, value: JsonValue) -> str:
    """In the unit people use: accuracies and other shares in percent, errors of depths in metres."""
    from nascc.nas.costs.units import SCALES, written

    if not isinstance(value, float | int):
        return shown(value)
    if name.endswith(SHARES):
        return f"{100 * value:.1f} %"
    if name.endswith("rmse"):
        return f"{value:.3f} m"
    return written(value, name) if name in SCALES else shown(value)


def words(values: Mapping[str, object]) -> str:
    """Named values in a row: 'latency 3.2, macs 1.5e+07'."""
    return ", ".join(f"{name} {shown(value)}" for name, value in values.items())


def shown(value: object) -> str:
    """A value: a number with four digits, a table in brackets."""
    if isinstance(value, Mapping):
        return f"({words(value)})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
