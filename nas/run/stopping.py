"""Reasons to stop a run before its end: a deadline, and Ctrl-C."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType


class Stopping:
    """Whether a run should stop. `time_limit_s` seconds count from now on; `clock` gives seconds."""

    def __init__(self, time_limit_s: float | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limit_s = time_limit_s
        self._deadline = None if time_limit_s is None else clock() + time_limit_s
        self.requested = False
        self.announce: Callable[[], None] | None = None
        """Set while a loop runs that looks for requests after each step; called when one arrives."""

    @property
    def reason(self) -> str | None:
        """Why to stop, as the start of a sentence; None to go on."""
        if self.requested:
            return "interrupted"
        if self._deadline is not None and self._clock() >= self._deadline:
            return f"the time limit of {duration(self._limit_s or 0.0)} was reached"
        return None

    def request(self) -> None:
        """Ask to stop after the current step. Raises KeyboardInterrupt when asked again, or outside of step loops."""
        if self.requested or self.announce is None:
            self.requested = True
            raise KeyboardInterrupt
        self.requested = True
        self.announce()


@contextlib.contextmanager
def stop_signals(stopping: Stopping) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into requests to stop, where this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        stopping.request()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def duration(seconds: float) -> str:
    """A time as people say it: '40 s', '12 min', '2.5 h'."""
    if seconds < 90:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 5400 else f"{seconds / 3600:.3g} h"
