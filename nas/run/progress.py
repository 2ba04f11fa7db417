"""What a run tells about how far it is; `nascc.tools` shows it."""

from typing import Protocol


class Progress(Protocol):
    """Called after every step, so it must be cheap."""

    def update(self, phase: str, done: int, total: int, **shown: float | str) -> None:
        """`done` of `total` steps of `phase` are done; `shown` are values such as loss, latency, lambda, epoch."""


class Silent:
    """Tells nobody."""

    def update(self, phase: str, done: int, total: int, **shown: float | str) -> None:
        """Do nothing."""
