"""Run what a command does, and tell how it ended: as text, as a JSON report, and as an exit code."""

import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import typer

from nascc.tools.errors import CommandError
from nascc.tools.failure import Failure
from nascc.tools.files import require_writable, write_text
from nascc.tools.interruption import interruptible
from nascc.tools.options import Reporting
from nascc.tools.progress import Progress, Say
from nascc.tools.quiet import quiet

if TYPE_CHECKING:
    from nascc.compiler.report import Report


@dataclass(frozen=True)
class Answer:
    """What a command found out: the report, the same as lines for a person, and what it failed with if it did."""

    report: "Report"
    lines: tuple[str, ...]
    failure: Failure | None = None


def execute(command: str, reporting: Reporting, work: Callable[[Say], Answer]) -> None:
    """Do the work, tell how it ended, and leave the command with its exit code."""
    started = time.monotonic()
    require_report(command, reporting)
    with interruptible() as interrupted:
        try:
            with Progress(reporting.progress and not reporting.json) as say, quiet(reporting.verbose):
                answer = work(say)
        except (Exception, KeyboardInterrupt) as error:
            cause = KeyboardInterrupt() if interrupted() else error
            raise typer.Exit(fail(command, cause, reporting, time.monotonic() - started)) from error
    close(answer.report, answer.failure, time.monotonic() - started)
    tell(answer.report, reporting)
    if not reporting.json:
        print("\n".join(answer.lines))
    if answer.failure is not None:
        print(f"error: {answer.failure.message}", file=sys.stderr)
        raise typer.Exit(answer.failure.exit_code)


def require_report(command: str, reporting: Reporting) -> None:
    """Fail before any work when the report could not be written."""
    if reporting.report is not None:
        try:
            require_writable(reporting.report, "--report")
        except CommandError as error:
            raise typer.Exit(fail(command, error, replace(reporting, report=None))) from error


def fail(command: str, error: BaseException, reporting: Reporting, seconds: float = 0.0) -> int:
    """Tell a failure on standard error, and as a report where one was asked for; return the exit code."""
    failure = Failure.of(error)
    if reporting.verbose:
        traceback.print_exception(error, file=sys.stderr)
    print(f"error: {failure.message}", file=sys.stderr)
    if reporting.json or reporting.report is not None:
        tell(failed_report(command, error, failure, seconds), reporting)
    return failure.exit_code


def failed_report(command: str, error: BaseException, failure: Failure, seconds: float) -> "Report":
    """The report of a failed command: what the error brings along of it, or a new one."""
    from nascc.compiler.provenance import new_report

    report: Report = getattr(error, "report", None) or new_report(command)
    report.command = command
    close(report, failure, seconds)
    return report


def close(report: "Report", failure: Failure | None, seconds: float) -> None:
    """Complete a report with how its command ended."""
    report.seconds, report.exit_code = round(seconds, 3), failure.exit_code if failure else 0
    if failure is not None:
        report.errors = (*report.errors, failure.message)


def tell(report: "Report", reporting: Reporting) -> None:
    """Print the report and write it to its file, each where asked for."""
    if reporting.json:
        print(report.to_json())
    if reporting.report is not None:
        write_text(reporting.report, report.to_json() + "\n")
