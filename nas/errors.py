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
