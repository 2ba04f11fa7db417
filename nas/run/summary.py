"""The report of a run from what lies in its directory, whether it is finished or not."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nascc.compiler.errors import UsageError
from nascc.compiler.provenance import new_report
from nascc.compiler.report import Report, Search
from nascc.nas.errors import CorruptRun
from nascc.nas.run.configuration import read_document
from nascc.nas.run.directory import JOURNAL
from nascc.nas.run.files import to_json, write_whole
from nascc.nas.run.journal import read_lines
from nascc.nas.run.results import read_results
from nascc.nas.run.series import collect

NAME = "report.json"
PART = "search"
"""The key of a phase's result that holds fields of the report's search part, such as {'best': {...}}."""


def read_report(path: Path) -> Report:
    """The report that is there, or a new one, with the search part and the series as the artefacts have them.

    Raises RunMismatch when `path` is no run, CorruptRun when a file of it is damaged.
    """
    config = read_document(path)["config"]
    report = _existing(path / NAME) or new_report("search", seed=config.get("seed"))
    if found := _search_part(path):
        fields = {"method": str(config.get("method", "search")), "budget": {}} | found
        try:
            report.search = Search.model_validate_json(to_json(fields))
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
            raise CorruptRun(f"the results of '{path}' must make a report, found {faults}") from error
    report.series = collect(read_lines(path / JOURNAL))
    return report


def write_report(path: Path) -> Report:
    """Read it and put it down as report.json. Raises what `read_report` raises, and OSError."""
    report = read_report(path)
    write_whole(path / NAME, (report.to_json() + "\n").encode())
    return report


def _search_part(path: Path) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for finished in read_results(path):
        fields |= finished.result.get(PART, {})
    return fields


def _existing(path: Path) -> Report | None:
    if not path.exists():
        return None
    try:
        return Report.from_json(path.read_bytes())
    except UsageError as error:
        raise CorruptRun(f"'{path}' must be a report that nascc wrote, but: {error}; remove it") from error
