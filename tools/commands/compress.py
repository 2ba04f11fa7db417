"""`nascc compress`: a trained network, and how much of its latency may be left; out comes a faster one."""

from typing import Annotated, Any

import typer

from nascc.tools.commands.search import given, go_on
from nascc.tools.compress_options import Limits, Placing, Replacing, Teaching
from nascc.tools.device_options import Devices
from nascc.tools.execution import Answer, execute
from nascc.tools.grouped import grouped
from nascc.tools.groups import Opening, Showing
from nascc.tools.options import Reporting
from nascc.tools.progress import Say
from nascc.tools.search_options import Preset, Running, merge

METHOD = "hant"


@grouped
def compress(
    context: typer.Context,
    network: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]", help="A model file, or zoo:NAME; without one a small network is trained first."
        ),
    ] = None,
    preset: Annotated[
        Preset | None,
        typer.Option(
            help="Where hyper-parameters come from. toy: minutes on two cores; paper: as published, GPU days.  "
            "[toy for cluttered digits, paper for --data]"
        ),
    ] = None,
    *,
    limits: Limits,
    placing: Placing,
    teaching: Teaching,
    replacing: Replacing,
    opening: Opening,
    devices: Devices,
    running: Running,
    showing: Showing,
) -> None:
    """Make a trained network faster by replacing its operations.

    Candidate operations learn the network's blocks one by one, an integer program picks among them under the budget,
    the best of its solutions is fine-tuned by the network's own answers. RUN/deploy then holds it with a script that
    runs it, RUN/report.json and RUN/plots tell how it came about. With --device blocks are measured there, what is
    found is measured too, picked again once by corrected latencies if it breaks its budget, and what is deployed must
    keep it in the end (exit code 6). Stop it at any moment; --resume RUN goes on.
    """

    def work(say: Say) -> Answer:
        asked = merge({**limits.asked(), **placing.asked(), **teaching.asked()}, replacing.asked())
        asked |= devices.asked()
        if given(context, "seed"):
            asked["seed"] = running.seed
        if running.resume is None:
            from nascc.tools.compressed import begin_compressing

            model = _model(network, opening)
            return begin_compressing(METHOD, preset, placing.target, model, asked, running, showing)
        if given(context, "target"):
            asked["target"] = placing.target
        if preset is not None:
            asked["preset"] = preset.value
        return go_on(running.resume, asked, running, showing)

    execute("compress", Reporting(showing.as_json, showing.report, showing.verbose, progress=False), work)


def _model(network: str | None, opening: Opening) -> dict[str, Any] | None:
    """How the network is opened, as the configuration keeps it; None without one."""
    if network is None and opening.model is None:
        return None
    return {
        "file": network,
        "callable": opening.model,
        "kwargs": opening.kwargs,
        "state_key": opening.state_key,
        "allow_pickle": opening.allow_pickle,
    }
