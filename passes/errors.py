"""What a rewrite of graphs can fail with."""


class PassError(Exception):
    """A graph is not what a pass, or the reader of exported programs, needs it to be."""

    exit_code = 1


class CanNotRead(PassError):
    """An exported program holds something that the IR can not express."""

    exit_code = 3


class PipelineError(PassError):
    """A pipeline is not legal: an unknown pass, a bad option, or an order that `runs_after` forbids."""

    exit_code = 2
