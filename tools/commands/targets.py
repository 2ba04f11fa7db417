"""`nascc targets`: the devices that can be compiled for."""

from typing import TYPE_CHECKING, Annotated

import typer

from nascc.tools.execution import Answer, execute
from nascc.tools.grouped import grouped
from nascc.tools.groups import Telling
from nascc.tools.options import PowerMode

if TYPE_CHECKING:
    from nascc.compiler.report import Object
    from nascc.runtime.profile import Target
    from nascc.tools.progress import Say


@grouped
def targets(
    name: Annotated[str | None, typer.Argument(help="One target, or a .toml profile, in full.")] = None,
    power_mode: PowerMode = None,
    *,
    telling: Telling,
) -> None:
    """List the target profiles, or show one in full."""
    execute("targets", telling.reporting, lambda say: list_targets(name, power_mode, say))


def list_targets(name: str | None, power_mode: str | None, say: "Say") -> Answer:
    """Every profile as one line, or one profile in full."""
    from nascc.compiler.provenance import new_report, target_entry
    from nascc.runtime.profile import load_target, target_names
    from nascc.tools import described
    from nascc.tools.errors import CommandError

    if name is None and power_mode is not None:
        raise CommandError("--power-mode must come with a target; see 'nascc targets' for their names")
    found = [load_target(each) for each in ([name] if name else target_names())]
    report = new_report("targets")
    report.findings = tuple(entry(target) for target in found)
    if name is None:
        return Answer(report, tuple(described.line(target) for target in found))
    report.target = target_entry(found[0], power_mode)
    return Answer(report, described.full(found[0], report.target.power_mode))


def entry(target: "Target") -> "Object":
    """A profile in a report, with what follows from its operator table."""
    table = target.operators
    operators: Object = {"table": table.version if table else None, "lacks": list(target.lacks)}
    return {**target.model_dump(mode="json", exclude_none=True), "operators": operators}
