"""Show on a terminal what a command is doing."""

import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status

Say = Callable[[str], None]


class Progress:
    """A line on standard error that names the current step and goes away at the end; silent off a terminal."""

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted and sys.stderr.isatty()
        self._status: Status | None = None

    def __enter__(self) -> Say:
        if self._wanted:
            from rich.console import Console

            self._status = Console(file=sys.stderr).status("starting")
            self._status.start()
        return self.say

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def say(self, step: str) -> None:
        """Show `step` as what is being done."""
        if self._status is not None:
            self._status.update(step)
