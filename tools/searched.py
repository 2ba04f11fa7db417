"""Run the phases of a search, and tell what it came to."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nascc.nas.costs.units import written
from nascc.nas.methods import find_method
from nascc.nas.phases.goals import PROFILE
from nascc.nas.phases.problem import Problem
from nascc.nas.phases.rehearsal import hours
from nascc.nas.plots import draw_report
from nascc.nas.run import RunDirectory, run_phases
from nascc.nas.run.stopping import duration
from nascc.nas.run.summary import write_report
from nascc.tools.execution import Answer
from nascc.tools.progress_bar import ProgressBar
from nascc.tools.render import line
from nascc.tools.run_words import lines
from nascc.tools.search_options import Running

if TYPE_CHECKING:
    from nascc.nas.phases.config import RunConfig

FEW_IMAGES = 5000


def run_search(path: Path, config: "RunConfig", running: Running, bar: ProgressBar, *, resume: bool) -> Answer:
    """All phases that are not finished, in the directory `path`; a dry run only times some steps of them.

    Raises SearchError, CompileError, and Stopped when it is to be resumed.
    """
    method = find_method(config.method).phases(config)
    if running.dry_run:
        return _rehearse(config, bar)
    opened = RunDirectory.resume if resume else RunDirectory.create
    with bar, opened(path, config, progress=bar, time_limit_s=running.seconds) as run:
        if config.teacher is not None and not resume:
            from nascc.tools.teacher import put_teacher

            put_teacher(run, config)
        try:
            run_phases(method, run)
        finally:
            report = write_report(path) if run.finished(PROFILE) else None
    assert report is not None, "the profile is the first phase"
    plots = draw_report(report, path / "plots")
    report.warnings = (*report.warnings, *_warnings(config), *run.result(PROFILE)["warnings"])
    told = (*lines(path, report, plots), *_next(path, config))
    return Answer(report, told)


def _rehearse(config: "RunConfig", bar: ProgressBar) -> Answer:
    """Profile in a folder that goes away, and time the rest."""
    method = find_method(config.method).phases(config)
    with tempfile.TemporaryDirectory() as folder, bar:
        path = Path(folder) / "run"
        with RunDirectory.create(path, config, progress=bar) as run:
            run_phases(method, run, until=PROFILE)
            taken = hours(method, run)
            report = write_report(path)
            profile = run.result(PROFILE)
    report.warnings = (*report.warnings, *_warnings(config), *profile["warnings"])
    return Answer(report, tuple(_rehearsed(taken, profile, report.warnings)))


def _rehearsed(taken: dict[str, float], profile: dict, warnings: tuple[str, ...]) -> Iterator[str]:  # type: ignore[type-arg]
    for metric, reach in profile["reachable"].items():
        yield line("reachable", f"{written(reach['least'], metric)} to {written(reach['most'], metric)} of {metric}")
    for limits in profile["limits"].values():
        for metric, amount in limits.items():
            yield line("budget", f"at most {written(amount, metric)} of {metric}")
    for phase, time in taken.items():
        yield line(phase, f"about {duration(3600 * time)} ({time:.3g} h), from twenty steps timed here")
    for warning in warnings:
        yield line("warning", warning)
    yield line("wrote", "nothing: this was a dry run")


def _warnings(config: "RunConfig") -> Iterator[str]:
    images = sum(len(Problem(config).task.split(name)) for name in ("train", "test"))
    if images < FEW_IMAGES:
        yield (
            f"{images} images are few for a search from scratch; with a trained network at hand, "
            "`nascc compress` makes it faster instead"
        )


def _next(path: Path, config: "RunConfig") -> Iterator[str]:
    yield line("next", f"python {path}/deploy/classify.py IMAGE, or")
    yield line("", f"nascc check {path}/deploy/model.onnx --target {config.target}")
