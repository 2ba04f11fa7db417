"""`nascc check`: whether a target can run an ONNX file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nascc.tools.execution import Answer, execute
from nascc.tools.failure import Failure
from nascc.tools.grouped import grouped
from nascc.tools.groups import Telling
from nascc.tools.options import PowerMode, Target

if TYPE_CHECKING:
    from nascc.tools.progress import Say


@grouped
def check(
    file: Annotated[Path, typer.Argument(help="An ONNX file, of nascc or of any other tool.")],
    *,
    target: Target,
    power_mode: PowerMode = None,
    telling: Telling,
) -> None:
    """Tell whether a target can run an ONNX file.

    Every node is held against ONNX's schemas and against what the target imports; nothing of the target has to be
    installed. The exit code is 4 when it can not run the file.
    """
    execute("check", telling.reporting, lambda say: check_file(file, target, power_mode, say))


def check_file(file: Path, name: str, power_mode: str | None, say: "Say") -> Answer:
    """Open the file and judge it."""
    from nascc.compiler.errors import UnsupportedByTarget
    from nascc.compiler.provenance import input_file, new_report, target_entry
    from nascc.compiler.target_lint import blocking, check_target
    from nascc.runtime.onnx_file import read_onnx
    from nascc.runtime.profile import load_target
    from nascc.tools.checked import lines

    target, report = load_target(name), new_report("check")
    report.target = target_entry(target, power_mode)
    model = read_onnx(file)
    report.inputs = (input_file(file, "onnx"),)
    say("check")
    found = check_target(model, target)
    report.findings = tuple(finding.entry() for finding in found)
    failure = None
    if stops := blocking(found):
        count = "1 finding" if len(stops) == 1 else f"{len(stops)} findings"
        failure = Failure.of(UnsupportedByTarget(f"{target.name} can not run '{file}': {count}, {stops[0]}"))
    return Answer(report, lines(file, model, target, report.findings), failure)
