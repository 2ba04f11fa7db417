"""`nascc report`: what a run has come to, with its report and plots written anew."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nascc.tools.execution import Answer, execute
from nascc.tools.options import Json, NoProgress, Reporting, Verbose

if TYPE_CHECKING:
    from nascc.tools.progress import Say


def report(
    run: Annotated[Path, typer.Argument(help="The directory of a run, finished or not.")],
    as_json: Json = False,
    no_progress: NoProgress = False,
    verbose: Verbose = False,
) -> None:
    """Sum up a run, and draw its plots anew.

    Its report.json and the plots beside it are written again from what lies in its directory.
    """
    execute("report", Reporting(as_json, None, verbose, progress=not no_progress), lambda say: sum_up(run, say))


def sum_up(run: Path, say: "Say") -> Answer:
    """Collect what phases left, draw it, and tell it."""
    from nascc.nas.plots import draw_report
    from nascc.nas.run.summary import write_report
    from nascc.tools.run_words import lines

    say("collect")
    found = write_report(run)
    say("draw")
    plots = draw_report(found, run / "plots")
    told = found.model_copy(update={"command": "report", "errors": ()})
    return Answer(told, tuple(lines(run, found, plots)))
