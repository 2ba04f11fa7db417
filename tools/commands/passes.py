"""`nascc passes`: the rewrites that can be asked for."""

import inspect
from typing import TYPE_CHECKING

from nascc.tools.execution import Answer, execute
from nascc.tools.options import Json, Reporting, ReportPath, Verbose

if TYPE_CHECKING:
    from nascc.compiler.report import Object
    from nascc.passes import Pass
    from nascc.tools.progress import Say


def passes(as_json: Json = False, report: ReportPath = None, verbose: Verbose = False) -> None:
    """List the passes, with options and what they do."""
    execute("passes", Reporting(as_json, report, verbose), list_passes)


def list_passes(say: "Say") -> Answer:
    """Every pass of the table: name, contract, options with their defaults, docstring."""
    from nascc.compiler.provenance import new_report
    from nascc.passes import PASSES

    report = new_report("passes")
    report.findings = tuple(
        {"name": p.__name__, "numerics": p.numerics.value, "options": options(p), "doc": inspect.getdoc(p) or ""}
        for p in PASSES
    )
    return Answer(report, tuple(text for p in PASSES for text in lines(p)))


def options(p: "type[Pass]") -> "Object":
    """Option names with their defaults, as Python writes them."""
    return {name: repr(value) for name, value in p().options().items()}


def lines(p: "type[Pass]") -> list[str]:
    """One pass for a person."""
    call = ", ".join(f"{name}={value}" for name, value in options(p).items())
    doc = (inspect.getdoc(p) or "").splitlines()
    return [f"{p.__name__}({call})  [{p.numerics.value}]", *(f"    {text}".rstrip() for text in doc), ""]
