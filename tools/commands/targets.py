"""`nascc targets`: the devices that can be compiled for."""

from typing import TYPE_CHECKING, Annotated

import typer

from nascc.tools.execution import Answer, execute
from nascc.tools.options import Json, Reporting, ReportPath, Verbose

if TYPE_CHECKING:
    from nascc.runtime.profile import Target
    from nascc.tools.progress import Say


def targets(
    name: Annotated[str | None, typer.Argument(help="One target, or a .toml profile, in full.")] = None,
    as_json: Json = False,
    report: ReportPath = None,
    verbose: Verbose = False,
) -> None:
    """List the target profiles, or show one in full."""
    execute("targets", Reporting(as_json, report, verbose), lambda say: list_targets(name, say))


def list_targets(name: str | None, say: "Say") -> Answer:
    """Every profile as one line, or one profile in full."""
    from nascc.compiler.provenance import new_report
    from nascc.runtime.profile import load_target, target_names

    found = [load_target(each) for each in ([name] if name else target_names())]
    report = new_report("targets")
    report.findings = tuple(target.model_dump(mode="json", exclude_none=True) for target in found)
    return Answer(report, full(found[0]) if name else tuple(line(target) for target in found))


def line(target: "Target") -> str:
    """One profile as one line."""
    runtime = f"TensorRT {target.tensorrt}" if target.tensorrt else "onnxruntime"
    versions = f"opset {target.opset}, IR {target.ir_version}"
    return f"{target.name:<12}{runtime:<17}{versions:<18}{', '.join(target.precisions):<18}{target.title}"


def full(target: "Target") -> tuple[str, ...]:
    """Everything a profile says, one `key value` a line, tables indented."""
    lines = []
    for key, value in target.model_dump(mode="json", exclude_none=True).items():
        if isinstance(value, dict):
            lines += [key, *(f"  {inner:<20}{shown(item)}" for inner, item in value.items())]
        else:
            lines.append(f"{key:<22}{value}")
    return tuple(lines)


def shown(value: object) -> str:
    """A value of a profile in words."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
