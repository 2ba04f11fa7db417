"""`nascc search`: no model yet, a target and a budget; out comes a trained, compiled, verified network."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nascc.tools.errors import CommandError
from nascc.tools.execution import Answer, execute
from nascc.tools.grouped import grouped
from nascc.tools.groups import Showing
from nascc.tools.options import Reporting
from nascc.tools.progress import Say
from nascc.tools.progress_bar import ProgressBar
from nascc.tools.search_options import Budgets, Choosing, Deploying, Learning, Preset, Running

if TYPE_CHECKING:
    from nascc.nas.phases.config import RunConfig

DEFAULT_METHOD = "lightnas"


@grouped
def search(
    method: Annotated[str, typer.Option(help="lightnas: one search that lands on the budget.")] = DEFAULT_METHOD,
    preset: Annotated[
        Preset | None,
        typer.Option(help="toy: minutes on two cores; paper: as published, GPU hours.  [toy on cluttered digits]"),
    ] = None,
    *,
    deploying: Deploying,
    budgets: Budgets,
    learning: Learning,
    choosing: Choosing,
    running: Running,
    showing: Showing,
) -> None:
    """Search a network for a target and a budget, train it, and deploy it.

    Without options it learns cluttered digits in minutes. Stop it with Ctrl-C at any moment, and go on with --resume.
    """

    def work(say: Say) -> Answer:
        if running.resume is not None:
            return go_on(running.resume, running, showing)
        asked = {**deploying.asked(), **budgets.asked(), **choosing.asked(), "seed": running.seed}
        return begin(method, preset, deploying.target, learning, asked, choosing.set_ or [], running, showing)

    reporting = Reporting(showing.as_json, showing.report, showing.verbose, progress=False)
    execute("search", reporting, work)


def begin(
    method: str,
    preset: Preset | None,
    target: str,
    learning: Learning,
    asked: dict[str, Any],
    overrides: list[str],
    running: Running,
    showing: Showing,
) -> Answer:
    """Configure a run and do it."""
    from nascc.nas.methods import find_method
    from nascc.nas.methods.configure import configure, merged
    from nascc.nas.tasks import TaskConfig
    from nascc.tools.overrides import parse_overrides
    from nascc.tools.searched import run_search

    chosen = find_method(method)
    where = running.output or first_free(target)
    asked = merged(asked, parse_overrides(overrides))
    if learning.teacher is not None:
        asked["teacher"] = learning.teacher
    data = {} if learning.data is None else {"data": data_of(learning.data)}
    task = TaskConfig(**data, classes=learning.classes, resolution=learning.resolution, **asked.pop("task", {}))  # type: ignore[arg-type]
    name = preset or (Preset.toy if learning.data is None else Preset.paper)
    config = configure(chosen, name.value, target, task, asked)
    return run_search(where, config, running, wants_progress(showing), resume=False)


def go_on(path: Path, running: Running, showing: Showing) -> Answer:
    """Resume the run at `path`, as it was configured."""
    from nascc.nas.methods import find_method
    from nascc.nas.run.configuration import read_config, read_document
    from nascc.tools.searched import run_search

    if not path.is_dir():
        raise CommandError(f"--resume must name the directory of a run, found none at '{path}'")
    found: dict[str, Any] = read_document(path)["config"]
    config: RunConfig = read_config(path, find_method(str(found.get("method"))).config)
    return run_search(path, config, running, wants_progress(showing), resume=True)


def first_free(target: str) -> Path:
    """`run-nano`, or the first of `run-nano-2`, ... that does not exist."""
    name = f"run-{Path(target).stem if target.endswith('.toml') else target}"
    numbers = (name, *(f"{name}-{number}" for number in range(2, 10_000)))
    return next(Path(text) for text in numbers if not Path(text).exists())


def data_of(text: str) -> str:
    """A folder as a path that holds wherever the run is resumed."""
    return text if text.startswith("torchvision:") else str(Path(text).absolute())


def wants_progress(showing: Showing) -> ProgressBar:
    return ProgressBar(not showing.no_progress and not showing.as_json)
