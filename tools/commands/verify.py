"""`nascc verify`: two models compared on the same inputs."""

from typing import Annotated

import typer

from nascc.tools.execution import execute
from nascc.tools.options import Json, NoProgress, Reporting, ReportPath, Verbose


def verify(
    a: Annotated[str, typer.Argument(help="The model that is right: a model file, zoo:NAME or an ONNX file.")],
    b: Annotated[str, typer.Argument(help="The model that is compared with it.")],
    as_json: Json = False,
    report: ReportPath = None,
    no_progress: NoProgress = False,
    verbose: Verbose = False,
) -> None:
    """Compare any two of model file and ONNX file.

    Both run on the same seeded inputs; the exit code is 5 when they differ.
    """
    execute("verify", Reporting(as_json, report, verbose, not no_progress), lambda say: NotImplemented)
