"""`nascc train`: train what a search found once more, without searching anew."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nascc.tools.commands.search import first_free, given, go_on, wants_progress
from nascc.tools.errors import CommandError
from nascc.tools.execution import Answer, execute
from nascc.tools.grouped import grouped
from nascc.tools.groups import Showing
from nascc.tools.options import Reporting
from nascc.tools.overrides import parse_overrides
from nascc.tools.progress import Say
from nascc.tools.search_options import Baseline, Running, Settings, Teacher, TransformFirst, teacher_path

ONLY = "retrain"


@grouped
def train(
    context: typer.Context,
    run: Annotated[Path | None, typer.Argument(help="The directory of a search that has found its networks.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of the training.  [as in RUN]")] = None,
    teacher: Teacher = None,
    baseline: Baseline = None,
    transform_first: TransformFirst = False,
    set_: Settings = None,
    *,
    running: Running,
    showing: Showing,
) -> None:
    """Train the networks of a search again, without searching anew.

    They start from fresh weights (netadaptv2: as in the search): train longer, by a teacher, or beside other baselines.
    The new run takes over the profile and the architectures of RUN and ends like a search: with deploy/, report.json
    and plots, by default in RUN-train. RUN stays as it is. What is not given is as in RUN.
    """

    def work(say: Say) -> Answer:
        asked = asked_for(epochs, teacher, baseline, set_ or [])
        asked |= {"transform_first": True} if transform_first else {}
        if given(context, "seed"):
            asked["seed"] = running.seed
        if running.resume is not None:
            return go_on(running.resume, asked, running, showing)
        if run is None:
            raise CommandError("a run must be given, nascc train RUN, or --resume RUN")
        return begin(run, asked, running, showing)

    execute("train", Reporting(showing.as_json, showing.report, showing.verbose, progress=False), work)


def asked_for(epochs: int | None, teacher: str | None, baseline: str | None, overrides: list[str]) -> dict[str, Any]:
    """The fields of the configuration that were given. Raises CommandError."""
    from nascc.nas.methods.configure import merged

    found = parse_overrides(overrides)
    if others := [key for key in found if key != ONLY]:
        raise CommandError(f"--set must change the training, like {ONLY}.lr=0.1, got '{others[0]}'")
    own: dict[str, Any] = {} if epochs is None else {ONLY: {"epochs": epochs}}
    own |= {} if teacher is None else {"teacher": teacher_path(teacher)}
    own |= {} if baseline is None else {"baselines": baseline}
    return merged(own, found)


def begin(run: Path, asked: dict[str, Any], running: Running, showing: Showing) -> Answer:
    """Configure a run on top of another, and do it."""
    from nascc.nas.methods import adopted_names, find_method
    from nascc.nas.methods.configure import checked, merged
    from nascc.nas.phases.adopted import finished_phases
    from nascc.tools.resumed import read_run
    from nascc.tools.searched import run_search

    found = read_run(run, "RUN")
    if found.method == "hant":
        raise CommandError(
            f"'{run}' compresses a network; fine-tune longer with nascc compress --pool and --set retrain.epochs=N"
        )
    finished_phases(run, adopted_names(find_method(found.method), found))
    values = merged(found.model_dump(mode="json"), asked) | {"source": str(run.absolute())}
    where = running.output or first_free(f"{run.name or 'run'}-train")
    return run_search(where, checked(type(found), values), running, wants_progress(showing), resume=False)
