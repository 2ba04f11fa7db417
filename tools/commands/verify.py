"""`nascc verify`: two models compared on the same inputs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nascc.tools.execution import Answer, execute
from nascc.tools.failure import Failure
from nascc.tools.files import read_arrays
from nascc.tools.options import (
    AllowPickle,
    Data,
    Json,
    Kwargs,
    Mean,
    Model,
    NoProgress,
    Reporting,
    ReportPath,
    Seed,
    Shapes,
    StateKey,
    Std,
    Verbose,
)
from nascc.tools.progress import Say
from nascc.tools.source import Source, numbers

if TYPE_CHECKING:
    from nascc.tools.comparison import Inputs


def verify(
    a: Annotated[str, typer.Argument(help="The model that is right: a model file, zoo:NAME or an ONNX file.")],
    b: Annotated[str, typer.Argument(help="The model that is compared with it.")],
    shapes: Shapes = None,
    mean: Mean = None,
    std: Std = None,
    model: Model = None,
    kwargs: Kwargs = None,
    state_key: StateKey = None,
    allow_pickle: AllowPickle = False,
    data: Data = None,
    seed: Seed = 0,
    as_json: Json = False,
    report: ReportPath = None,
    no_progress: NoProgress = False,
    verbose: Verbose = False,
) -> None:
    """Compare any two of model file and ONNX file.

    Both run on the same seeded inputs, and on --data. A model file is taken in float64, and what its own precision
    loses sets the tolerance. --model and what belongs to it hold for the sides that are weights only. The exit code is
    5 when the sides differ.
    """
    sources = [Source(file, model, kwargs, state_key, allow_pickle) for file in (a, b)]

    def work(say: Say) -> Answer:
        from nascc.compiler.shapes import parse_shapes
        from nascc.tools.comparison import Inputs

        inputs = Inputs(parse_shapes(shapes or ()), numbers(mean, "--mean"), numbers(std, "--std"), seed)
        return compare(sources[0], sources[1], inputs, data, say)

    execute("verify", Reporting(as_json, report, verbose, progress=not no_progress), work)


def compare(a: Source, b: Source, inputs: "Inputs", data: Path | None, say: Say) -> Answer:
    """Open both sides, run them on the same inputs, and judge."""
    from nascc.compiler.errors import NotEquivalent
    from nascc.compiler.provenance import new_report
    from nascc.compiler.verify_files import verify_files
    from nascc.tools.comparison import Side, networks
    from nascc.tools.verified import lines

    report, arrays = new_report("verify", seed=inputs.seed), read_arrays(data)
    say("open")
    left, right = Side.of(a), Side.of(b)
    report.inputs = (*left.entries, *right.entries)
    say("capture")
    pair = networks(left, right, inputs)
    say("verify")
    found = verify_files(*pair, seed=inputs.seed, data=arrays)
    report.verification, report.verify = "done", found.entries()
    report.warnings = (*left.warnings, *right.warnings, *found.warnings)
    failure = None
    try:
        found.require()
    except NotEquivalent as error:
        failure = Failure.of(error)
    return Answer(report, lines(report, a, b, found), failure)
