"""What compiling a model can fail with."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nascc.compiler.report import Report


class CompileError(Exception):
    """A model can not be compiled. `exit_code` is what the command line exits with."""

    exit_code = 1


class UsageError(CompileError):
    """What the user asked for is not possible: a name, a shape, an option."""

    exit_code = 2


class CaptureFailed(CompileError):
    """The model can not be captured as a graph."""

    exit_code = 3


class UnsupportedByTarget(CompileError):
    """The target, or the opset asked for, can not express or run the graph; `report` tells what was found."""

    exit_code = 4
    report: "Report | None" = None


class NotEquivalent(CompileError):
    """A rewritten or deployed graph does not compute what the original computes; `report` tells what was compared."""

    exit_code = 5
    report: "Report | None" = None
