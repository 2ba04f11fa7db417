"""Loops that can be stopped, killed and resumed: the steps of a phase that are still to be done."""

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from nascc.nas.core.randomness import seed_everything
from nascc.nas.errors import CorruptRun, Diverged, Stopped
from nascc.nas.run.journal import plain_names
from nascc.nas.run.state import State

if TYPE_CHECKING:
    from nascc.nas.run.directory import RunDirectory


class Steps:
    """Iterate over it once: `for step in steps` starts at 0, or after the last state saved.

    `save` gives the state of everything that changes (modules, optimisers, averages; see `State`), `load` puts one
    back. A state is saved after every `every` steps, after `seconds` seconds, before a stop and at the end; saving
    draws nothing and changes nothing, so its moment does not matter. Whatever a step draws must follow from the
    configuration and its index: with `seed`, torch's global generator is seeded for each step. `part` tells several
    loops of one phase apart, which follow one another. Leaving the loop early saves nothing.

    Raises Stopped at the deadline or after Ctrl-C, Diverged when the state or a logged value is not finite,
    CorruptRun when a saved state does not fit.
    """

    def __init__(
        self,
        run: "RunDirectory",
        phase: str,
        total: int,
        *,
        save: Callable[[], State],
        load: Callable[[State], object],
        part: str = "state",
        every: int | None = None,
        seconds: float = 60.0,
        seed: int | None = None,
    ) -> None:
        self._run, self._phase, self._total, self._part = run, phase, total, part
        self._save, self._load, self._seed = save, load, seed
        self._every, self._seconds = every, seconds
        self._done = self._saved_at = 0
        self._saved_time = time.monotonic()
        self._shown: dict[str, float | str] = {}

    def __iter__(self) -> Iterator[int]:
        stopping, before = self._run.stopping, self._run.stopping.announce
        self._restore()
        self._update()
        stopping.announce = self._announce
        try:
            while self._done < self._total:
                if self._seed is not None:
                    seed_everything(self._seed, self._phase, self._part, self._done)
                yield self._done
                self._done += 1
                self._after_step()
            if self._saved_at < self._total or self._total == 0:
                self._keep()
        finally:
            stopping.announce = before

    def log(self, **values: object) -> None:
        """Write values of the current step to the journal, and show those that are numbers or words.

        A tensor becomes a number or a list. Raises Diverged when a number is not finite.
        """
        plain = {name: v.tolist() if isinstance(v, Tensor) else v for name, v in plain_names(values).items()}
        for name, value in plain.items():
            self._require_finite(name, value)
        part = {} if self._part == "state" else {"part": self._part}
        self._run.journal.write(self._phase, self._done, **part, **plain)
        self.show(**{name: v for name, v in plain.items() if isinstance(v, int | float | str)})

    def show(self, **values: float | str) -> None:
        """Show values beside the progress from now on."""
        self._shown |= {name: v for name, v in plain_names(values).items() if isinstance(v, int | float | str)}

    def _restore(self) -> None:
        if (saved := self._run.saved(self._phase, self._part)) is None:
            return
        where = f"the state of '{self._phase}' in '{self._run.path}'"
        if saved.step > self._total:
            raise CorruptRun(f"{where} must be of at most {self._total} steps, found {saved.step}; start anew")
        try:
            self._load(saved.state)
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise CorruptRun(f"{where} must fit what it is loaded into, but: {error}") from error
        self._done = self._saved_at = saved.step
        self._run.journal.skip_to(saved.journal)

    def _after_step(self) -> None:
        self._update()
        reason = self._run.stopping.reason
        if reason is not None or self._due():
            self._keep()
        if reason is not None:
            raise Stopped(
                f"{reason} after step {self._done} of {self._total} of '{self._phase}'; "
                f"everything is saved, go on with nascc search --resume {self._run.path}"
            )

    def _due(self) -> bool:
        by_count = self._every is not None and self._done % self._every == 0
        return by_count or time.monotonic() - self._saved_time >= self._seconds

    def _keep(self) -> None:
        self._run.save_state(self._phase, self._save(), step=self._done, part=self._part)
        self._run.timing.lap(self._phase, self._done - self._saved_at)
        self._saved_at, self._saved_time = self._done, time.monotonic()

    def _update(self) -> None:
        self._run.progress.update(self._phase, self._done, self._total, **self._shown)

    def _announce(self) -> None:
        self.show(note="stopping after this step, Ctrl-C again stops at once")
        self._update()

    def _require_finite(self, name: str, value: object) -> None:
        if isinstance(value, float) and not math.isfinite(value):
            raise Diverged(
                f"{name} of '{self._phase}' must be finite, got {value} in step {self._done}; the state after step "
                f"{self._saved_at} is kept in '{self._run.path}'; start anew with a lower learning rate"
            )
        if isinstance(value, list | tuple):
            for item in value:
                self._require_finite(name, item)
