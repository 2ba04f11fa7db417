"""Errors of the nas package, each with the exit code the command line gives it."""


class SearchError(Exception):
    """What the nas package refuses: one sentence that says what must hold, what was found, what to do."""

    exit_code: int = 2


class CorruptCheckpoint(SearchError):
    """The checkpoint is damaged, or names an architecture or a configuration that does not exist."""

    exit_code = 3


class UnsafeCheckpoint(SearchError):
    """The checkpoint names something to import instead of a registered architecture."""

    exit_code = 9


class IllegalArchitecture(SearchError):
    """An architecture or a selection does not fit its space."""


class NotAdditive(SearchError):
    """A sum over slots is needed and the cost is none."""


class NotDifferentiable(SearchError):
    """A gradient is needed and the cost has none."""


class BudgetInfeasible(SearchError):
    """No architecture of the space keeps the budget."""

    exit_code = 6


class BadData(SearchError):
    """Images or labels can not be used for training."""


class RunMismatch(SearchError):
    """A run directory is of another version or another configuration."""


class Diverged(SearchError):
    """Training gave a loss that is no number; the last good state is kept."""

    exit_code = 1


class Stopped(SearchError):
    """A run ended before it was finished, and can be resumed."""

    exit_code = 130


class CorruptRun(SearchError):
    """A file of a run directory is damaged, missing, or none that nascc wrote."""

    exit_code = 3


class RunBusy(SearchError):
    """Another process works in the run directory."""


class DiskFull(SearchError):
    """There is no room for the next state; the last good one is kept."""


class BadMeasurements(SearchError):
    """A file of measured costs does not fit its space, or is none."""


class BadBudget(SearchError):
    """A budget can not be read."""


class RangeTooNarrow(SearchError):
    """The networks of a space cost so much the same that there is nothing to choose."""


class LimitBroken(SearchError):
    """The compiled network costs more than the search promised."""

    exit_code = 1
