"""What `nascc check` found, as lines for a person."""

from collections.abc import Iterable
from pathlib import Path

from onnx import ModelProto

from nascc.compiler.report import Object
from nascc.runtime.profile import Target
from nascc.tools import render


def lines(file: Path, model: ModelProto, target: Target, found: tuple[Object, ...]) -> tuple[str, ...]:
    """What was checked against what, one line a finding, and whether the target can run it."""
    imports = ", ".join(f"{entry.domain or 'opset'} {entry.version}" for entry in model.opset_import)
    nodes = len(model.graph.node)
    size = f"{imports}, IR {model.ir_version}, {nodes} node{'s' * (nodes != 1)}"
    return (
        render.line("checked", f"{file}  {size}"),
        render.line("against", against(target)),
        *finding_lines(found),
        *([] if any(f["severity"] == "error" for f in found) else [render.line("clean", supported(target))]),
    )


def against(target: Target) -> str:
    """The target and where its operator table comes from."""
    words = f"{target.label}, opset {target.opset}, IR {target.ir_version}"
    return words if target.table_words is None else f"{words}; {target.table_words}"


def supported(target: Target) -> str:
    """The good news."""
    return f"{target.label}: every operator supported"


def finding_lines(found: Iterable[Object]) -> list[str]:
    """One line a finding of a report, those that stop the target first."""
    ordered = sorted(found, key=lambda finding: finding["severity"] != "error")
    return [render.line("lacks" if f["severity"] == "error" else "note", words(f)) for f in ordered]


def words(finding: Object) -> str:
    """A finding with the module that it is about."""
    module = f" in '{finding['module']}'" if finding["module"] else ""
    where = f"{finding['op']} '{finding['node']}'{module}: " if finding["op"] else ""
    return f"{where}{finding['problem']}" + (f"; {finding['help']}" if finding["help"] else "")
