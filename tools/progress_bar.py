"""Show on a terminal how far a run is: the phase, its steps, the values it tells, and the time that is left."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

UNITS = {"latency": "ms", "energy": "mJ"}


class ProgressBar:
    """One bar per phase on standard error; silent when not `wanted`, and off a terminal.

    It writes to the terminal itself, since `quiet` takes standard error away from what runs. No other live line may
    be shown meanwhile.
    """

    def __init__(self, wanted: bool = True, console: "Console | None" = None) -> None:
        self._console = console
        self._shown = wanted and (console.is_terminal if console is not None else isatty())
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "ProgressBar":
        if self._shown:
            self._bars = new_bars(self._console)
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def update(self, phase: str, done: int, total: int, **shown: float | str) -> None:
        """`done` of `total` steps of `phase` are done; `shown` are values such as loss, latency, lambda, epoch."""
        if self._bars is None:
            return
        if phase not in self._tasks:
            self._tasks[phase] = self._bars.add_task(phase, total=total, completed=done, values="")
        self._bars.update(self._tasks[phase], completed=done, total=total, values=words(shown))


def new_bars(console: "Console | None") -> "Progress":
    """Bars with the name, the steps, the rest of the time and the values."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[values]}", markup=False),
        console=console or Console(file=sys.__stderr__),
    )


def words(shown: dict[str, float | str]) -> str:
    """Values as people read them: 'loss 1.23  latency 3.46 ms  lambda -0.02'."""
    return "  ".join(f"{name.removesuffix('_')} {value_words(name, value)}" for name, value in shown.items())


def value_words(name: str, value: float | str) -> str:
    """A number with three significant digits and its unit; a text as it is."""
    text = value if isinstance(value, str) else f"{value:.3g}" if isinstance(value, float) else str(value)
    return f"{text} {UNITS[name]}" if name in UNITS and not isinstance(value, str) else text


def isatty() -> bool:
    """Whether standard error, as the process was given it, is a terminal."""
    return sys.__stderr__ is not None and sys.__stderr__.isatty()
