"""`nascc verify`: two models compared on the same inputs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nascc.tools.device_options import Devices, Precisions
from nascc.tools.execution import Answer, execute
from nascc.tools.failure import Failure
from nascc.tools.files import read_arrays
from nascc.tools.grouped import grouped
from nascc.tools.groups import Inputs, Opening, Showing
from nascc.tools.options import TARGET, Data, Seed
from nascc.tools.progress import Say
from nascc.tools.source import Source

if TYPE_CHECKING:
    from nascc.tools import comparison


@grouped
def verify(
    a: Annotated[str, typer.Argument(help="The model that is right: a model file, zoo:NAME or an ONNX file.")],
    b: Annotated[
        str | None, typer.Argument(help="The model that is compared with it; with --device A may stand alone.")
    ] = None,
    *,
    inputs: Inputs,
    opening: Opening,
    data: Data = None,
    seed: Seed = 0,
    target: Annotated[str, typer.Option("--target", help=f"{TARGET} What runs on --device.")] = "cpu",
    devices: Devices,
    precisions: Precisions,
    showing: Showing,
) -> None:
    """Compare any two of model file and ONNX file.

    Both run on the same seeded inputs, and on --data. A model file is taken in float64, and what its own precision
    loses sets the tolerance. --model and what belongs to it hold for the sides that are weights only. With --device an
    ONNX file runs there, too, as --target says: on the inputs, or on a folder of images in --data, whose top-1
    accuracy is told of every side. The exit code is 5 when the sides differ.
    """
    sources = [opening.source(file) for file in (a, b) if file is not None]

    def work(say: Say) -> Answer:
        from nascc.compiler.shapes import parse_shapes
        from nascc.tools import comparison
        from nascc.tools.errors import CommandError

        if devices.device:
            from nascc.tools.verified_there import verify_there

            return verify_there(sources, target, devices.one(), precisions, data, tuple(inputs.shapes or ()), seed, say)
        if len(sources) != 2:
            raise CommandError("two models must be given, or one and --device")

        given = comparison.Inputs(parse_shapes(inputs.shapes or ()), **inputs.statistics(), seed=seed)
        return compare(sources[0], sources[1], given, data, say)

    execute("verify", showing.reporting, work)


def compare(a: Source, b: Source, inputs: "comparison.Inputs", data: Path | None, say: Say) -> Answer:
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
