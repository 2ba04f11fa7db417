"""A run as lines for a person: its phases, what it found, and what comes next."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nascc.tools.render import line

if TYPE_CHECKING:
    from nascc.compiler.report import Report, Search


def lines(run: Path, report: "Report", plots: Sequence[Path]) -> Iterator[str]:
    """Everything worth knowing, one line each."""
    unfinished = yield from phases(run)
    if report.search is not None:
        yield from findings(report.search)
    for warning in report.warnings:
        yield line("warning", warning)
    yield line("wrote", f"{run / 'report.json'} and {len(plots)} plots in {run / 'plots'}")
    if unfinished:
        yield line("next", "the command that began it, with --resume")
    elif (run / "deploy").is_dir():
        yield line("deploy", str(run / "deploy"))


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
    if search.budget:
        yield line("budget", words(search.budget))
    if search.reachable:
        yield line("reachable", words(search.reachable))
    if search.best is not None:
        yield line("found", str(search.best.arch))
        yield line("", ", ".join(filter(None, (words(search.best.cost), words(search.best.score)))))
    for baseline in search.baseline:
        yield line("baseline", words(baseline))


def words(values: Mapping[str, object]) -> str:
    """Named values in a row: 'latency 3.2, macs 1.5e+07'."""
    return ", ".join(f"{name} {shown(value)}" for name, value in values.items())


def shown(value: object) -> str:
    """A value: a number with four digits, a table in brackets."""
    if isinstance(value, Mapping):
        return f"({words(value)})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
