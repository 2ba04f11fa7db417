"""`nascc search`: no model yet, a target and a budget; out comes a trained, compiled, verified network."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nascc.tools.device_options import Devices
from nascc.tools.errors import CommandError
from nascc.tools.execution import Answer, execute
from nascc.tools.grouped import grouped
from nascc.tools.groups import Showing
from nascc.tools.options import Reporting
from nascc.tools.progress import Say
from nascc.tools.progress_bar import ProgressBar
from nascc.tools.search_options import (
    Budgets,
    Choosing,
    Deploying,
    Learning,
    Preset,
    Running,
    Shrinking,
    merge,
    usual_preset,
)

DEFAULT_METHOD, SHRINKING = "dw-nas", ("hant", "netadaptv2")


@grouped
def search(
    context: typer.Context,
    method: Annotated[
        str,
        typer.Option(
            help="dw-nas: blocks that train as three convolutions and deploy as one; lightnas: none of those; "
            "single-path: one superkernel holds every choice, and a search is little more than a training; "
            "netadaptv2: an initial network loses channels, layers and kernels until a budget holds; "
            "hant: see nascc compress."
        ),
    ] = DEFAULT_METHOD,
    preset: Annotated[
        Preset | None,
        typer.Option(
            help="Where hyper-parameters come from. toy: minutes on two cores; paper: as published, GPU hours.  "
            "[toy for cluttered digits, paper for --data]"
        ),
    ] = None,
    *,
    deploying: Deploying,
    budgets: Budgets,
    learning: Learning,
    shrinking: Shrinking,
    choosing: Choosing,
    devices: Devices,
    running: Running,
    showing: Showing,
) -> None:
    """Search, train and deploy a network for a target.

    The budget is an upper limit. Without options it learns cluttered digits in minutes. RUN/deploy then holds the
    network with a script that runs it, RUN/report.json and RUN/plots tell how it came about, RUN/retrain holds
    weights for `nascc fuse`. With --device networks are measured there, costs are fitted to them, and what is found
    is measured, repaired once if it breaks its latency, and must keep it in the end (exit code 6). Stop it with Ctrl-C
    at any moment; --resume RUN goes on.
    """

    def work(say: Say) -> Answer:
        asked = merge({**deploying.asked(), **budgets.asked(), **learning.asked()}, choosing.asked())
        asked = shrinking.of_task(asked | devices.asked() | shrinking.asked())
        if given(context, "seed"):
            asked["seed"] = running.seed
        if running.resume is None and method in SHRINKING:
            from nascc.tools.compressed import begin_compressing

            file = None if shrinking.model is None else {"file": shrinking.model}
            return begin_compressing(method, preset, deploying.target, file, asked, running, showing)
        if shrinking.model is not None:
            raise CommandError(f"--model must come with --method {' or '.join(SHRINKING)}, got --method {method}")
        if running.resume is None:
            return begin(method, preset, deploying.target, asked, running, showing)
        asked |= {name: str(context.params[name]) for name in ("method", "target") if given(context, name)}
        if preset is not None:
            asked["preset"] = preset.value
        return go_on(running.resume, asked, running, showing)

    execute("search", Reporting(showing.as_json, showing.report, showing.verbose, progress=False), work)


def begin(
    method: str, preset: Preset | None, target: str, asked: dict[str, Any], running: Running, showing: Showing
) -> Answer:
    """Configure a run and do it."""
    from nascc.nas.methods import find_method
    from nascc.nas.methods.configure import checked, configure
    from nascc.nas.tasks import TaskConfig
    from nascc.runtime.profile import load_target
    from nascc.tools.searched import run_search

    chosen, _ = find_method(method), load_target(target)
    task = checked(TaskConfig, asked.pop("task", {}), "task")
    name = preset or usual_preset(task)
    config = configure(chosen, name.value, target, task, asked)
    where = running.output or first_free(f"run-{Path(target).stem if target.endswith('.toml') else target}")
    return run_search(where, config, running, wants_progress(showing), resume=False)


def go_on(path: Path, asked: dict[str, Any], running: Running, showing: Showing) -> Answer:
    """Resume the run at `path`; whatever is asked for must be what it was begun with."""
    from nascc.tools.resumed import read_run, require_same
    from nascc.tools.searched import run_search

    config = read_run(path, "--resume")
    require_same(path, config, asked, running.output)
    return run_search(path, config, running, wants_progress(showing), resume=True)


def first_free(name: str) -> Path:
    """`name`, or the first of `name-2`, ... that does not exist."""
    names = (name, *(f"{name}-{number}" for number in range(2, 10_000)))
    return next(Path(text) for text in names if not Path(text).exists())


def given(context: typer.Context, name: str) -> bool:
    """Whether an option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def wants_progress(showing: Showing) -> ProgressBar:
    return ProgressBar(not showing.no_progress and not showing.as_json)
