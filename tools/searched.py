"""Run the phases of a search, and tell what it came to."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nascc.compiler.report import Latency, Object, Report, VerifyEntry
from nascc.nas.costs.units import written
from nascc.nas.methods import find_method, phases_of, run_method
from nascc.nas.phases.board import MEASURED
from nascc.nas.phases.goals import BOARD, PROFILE
from nascc.nas.phases.problem import Problem
from nascc.nas.phases.rehearsal import hours
from nascc.nas.plots import draw_report
from nascc.nas.run import RunDirectory
from nascc.nas.run.files import write_whole
from nascc.nas.run.stopping import duration
from nascc.nas.run.summary import NAME, write_report
from nascc.nas.run.threads import threads
from nascc.tools.execution import Answer
from nascc.tools.progress_bar import ProgressBar
from nascc.tools.refused import leaving_nothing
from nascc.tools.render import line
from nascc.tools.run_words import lines, next_steps
from nascc.tools.search_options import Running

if TYPE_CHECKING:
    from nascc.nas.phases.config import RunConfig

FEW_IMAGES = 5000
COMMANDS = {"hant": "compress"}
"""The command that a method has of its own."""
TOLD = {"hant": ("teach", "pretrain")}
"""Phases of a method that may warn, beside the profile."""


def run_search(
    path: Path,
    config: "RunConfig",
    running: Running,
    bar: ProgressBar,
    *,
    resume: bool,
    program: bytes | None = None,
) -> Answer:
    """All phases that are not finished, in the directory `path`; a dry run only times some steps of them.

    `program` is the network that is compressed. Raises SearchError, CompileError, and Stopped when it is to be resumed.
    """
    if running.dry_run:
        return _rehearse(config, bar, program)
    method = find_method(config.method)
    opened, seconds = RunDirectory.resume if resume else RunDirectory.create, running.seconds
    with (
        leaving_nothing(path, new=not resume),
        bar,
        opened(path, config, progress=bar, time_limit_s=seconds) as run,
    ):
        _put_teacher(run, config)
        _put_program(run, config, program)
        try:
            run_method(method, run)
        except BaseException:
            if run.finished(PROFILE):
                write_report(path)
            raise
        report = _completed(run, config)
    plots = draw_report(report, path / "plots")
    return Answer(
        report, (*lines(path, report, plots), *next_steps(path, config.target, config.method not in COMMANDS))
    )


def _completed(run: RunDirectory, config: "RunConfig") -> Report:
    """The report of a finished run, on disk too: with what the compiled network of the first goal was put to."""
    report = write_report(run.path)
    first: dict[str, Any] = next(iter(run.result("emit")["results"].values()))
    report.command = COMMANDS.get(config.method, "search") if config.source is None else "train"
    report.verification = "done"
    report.verify = tuple(VerifyEntry.model_validate(entry) for entry in first["verified"])
    report.latency = None if first["latency"] is None else Latency.model_validate(first["latency"])
    if run.finished(MEASURED):
        report.latency = _measured_latency(run, config)
        report.findings = tuple(_on_board(run))
    more = [w for phase in TOLD.get(config.method, ()) for w in run.result(phase)["warnings"]]
    report.warnings = (*_warnings(config), *run.result(PROFILE)["warnings"], *more)
    write_whole(run.path / NAME, (report.to_json() + "\n").encode())
    return report


def _measured_latency(run: RunDirectory, config: "RunConfig") -> Latency:
    """What the file of the first goal takes on the board; `before_ms` is what was predicted."""
    found = next(iter(run.result(MEASURED)["goals"].values()))
    first: dict[str, Any] = next(iter(_settled(run).values()), {})
    boards = ", ".join(config.device.addresses) if config.device is not None else ""
    return Latency(
        kind="measured", calibration=f"on {boards}", median_ms=found["measured_ms"], before_ms=first.get("predicted_ms")
    )


def _settled(run: RunDirectory) -> dict[str, Any]:
    """What was measured of every goal before it was trained, by goal; compression measures as it searches."""
    if run.finished(BOARD):
        return dict(run.result(BOARD)["goals"])
    phases = {goal: f"search-{goal}" if goal else "search" for goal in run.result(MEASURED)["goals"]}
    found = {goal: run.result(phase) for goal, phase in phases.items() if run.finished(phase)}
    return {
        goal: {**picked["measured"][-1], "repaired": picked["repaired"], "before": picked["measured"][:-1]}
        for goal, picked in found.items()
        if picked.get("measured")
    }


def _on_board(run: RunDirectory) -> Iterator[Object]:
    """What happened on the board, one entry a goal."""
    settled = _settled(run)
    for goal, found in run.result(MEASURED)["goals"].items():
        yield {"goal": goal, "deployed": found, "search": settled.get(goal, {})}


def _put_teacher(run: RunDirectory, config: "RunConfig") -> None:
    """Bring the teacher in, unless a run that is resumed has it."""
    from nascc.nas.phases.retrain import TEACHER

    if config.teacher is not None and not (run.path / TEACHER).exists():
        from nascc.tools.teacher import put_teacher

        put_teacher(run, config)


def _put_program(run: RunDirectory, config: "RunConfig", program: bytes | None) -> None:
    """Bring the network in that is compressed, unless a run that is resumed has it."""
    if getattr(config, "model", None) is None:
        return
    from nascc.tools.compressed import program_again, program_file

    file = run.path / program_file(config)  # type: ignore[arg-type]
    if not file.exists():
        write_whole(file, program or program_again(config))  # type: ignore[arg-type]


def _rehearse(config: "RunConfig", bar: ProgressBar, program: bytes | None = None) -> Answer:
    """Profile in a folder that goes away, and time the rest."""
    method = find_method(config.method)
    with tempfile.TemporaryDirectory() as folder, bar, threads(config.threads):
        path = Path(folder) / "run"
        with RunDirectory.create(path, config, progress=bar) as run:
            _put_program(run, config, program)
            run_method(method, run, until=PROFILE)
            taken = hours(phases_of(method, config), run)
            report = write_report(path)
            profile = run.result(PROFILE)
    report.warnings = (*_warnings(config), *profile["warnings"])
    report.findings = tuple({"phase": phase, "hours": time} for phase, time in taken.items())
    return Answer(report, tuple(_rehearsed(taken, profile, report.warnings)))


def _rehearsed(taken: dict[str, float], profile: dict[str, Any], warnings: tuple[str, ...]) -> Iterator[str]:
    for metric, reach in profile["reachable"].items():
        yield line("reachable", f"{metric} of {written(reach['least'], metric)} to {written(reach['most'], metric)}")
    for limits in profile["limits"].values():
        for metric, amount in limits.items():
            yield line("budget", f"{metric} of at most {written(amount, metric)}")
    for phase, time in taken.items():
        yield line(phase, f"about {duration(3600 * time)} ({time:.2g} hours), from twenty steps timed here")
    yield line("in all", f"about {duration(3600 * sum(taken.values()))}, and a minute or so to profile and compile")
    for warning in warnings:
        yield line("warning", warning)
    yield line("wrote", "nothing: this was a dry run")


def _warnings(config: "RunConfig") -> Iterator[str]:
    task = Problem(config).task
    images = sum(len(task.split(name)) for name in ("train", "test"))
    if images < FEW_IMAGES and config.method not in COMMANDS and task.kind == "classification":
        yield (
            f"{images} images are few for a search from scratch; with a trained network at hand, "
            "`nascc compress` makes it faster instead"
        )
    if tuple(config.image) != tuple(task.input_shape):
        trained, deployed = ("x".join(map(str, shape)) for shape in (task.input_shape, config.image))
        yield f"training sees images of {trained} but {deployed} is deployed: the accuracy told is that of {trained}"
