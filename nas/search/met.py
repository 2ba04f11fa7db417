"""What a search met on its way, and the architectures within the limits that follow from it."""

from collections import deque
from collections.abc import Callable
from typing import Any

from nascc.nas.core.space import Arch
from nascc.nas.search.pool import Pool
from nascc.nas.search.preference import Preference
from nascc.nas.search.shares import Shares
from nascc.nas.search.surrogate import fit_pairs
from nascc.nas.search.swaps import Repaired, order, repairs

STARTS = 24
"""From how many of the architectures met within the limits the last swaps start."""
SIDES = 4
"""Where none was met, from how many that were the most likely one: costs have gaps, and these lie on both sides."""
TRIED = 800
"""How many of the last architectures tried, with their losses, are remembered."""


class Met:
    """Architectures within the limits, those that were the most likely one, and the losses of those tried."""

    def __init__(self, shares: Shares) -> None:
        self._shares, self._pool = shares, Pool()
        self._likely: dict[Arch, None] = {}
        self._tried: deque[tuple[Arch, float]] = deque(maxlen=TRIED)

    def try_(self, arch: Arch, loss: float) -> None:
        """Remember the loss of an architecture that was tried."""
        self._tried.append((arch, loss))

    def observe(self, likely: Arch, sampled: Arch, preferred: Callable[[Arch], float]) -> None:
        """Remember the most likely architecture, and both where they are within the limits."""
        self._likely.pop(likely, None)
        self._likely[likely] = None
        for arch in dict.fromkeys((likely, sampled)):
            if self._shares.fits(arch):
                self._pool.add(arch, preferred)

    def __len__(self) -> int:
        """Architectures within the limits."""
        return len(self._pool)

    def preference(self) -> Preference:
        """What the losses of all that was tried say."""
        archs, losses = zip(*self._tried, strict=True)
        return fit_pairs(archs, losses, self._shares.choices)

    def candidates(self, likely: Arch, preference: Preference, number: int, most_swaps: int) -> list[Repaired]:
        """Distinct architectures within the limits, most preferred first.

        They are the best met within the limits, improved by at most `most_swaps` swaps; where none was met, those on
        either side of the limits, changed by that many or, if it must be, more. Raises BudgetInfeasible.
        """
        starts = self._pool.best(STARTS, preference.worth) or list(dict.fromkeys([likely, *self._sides()]))
        answers = (answer for start in starts for answer in repairs(start, preference, self._shares, most_swaps))
        found: dict[Arch, Repaired] = {}
        for answer in sorted(answers, key=order):
            found.setdefault(answer.arch, answer)
        return list(found.values())[:number]

    def state_dict(self) -> dict[str, Any]:
        return {
            "pool": self._pool.state_dict(),
            "likely": [list(arch) for arch in self._likely],
            "tried": [(list(arch), loss) for arch, loss in self._tried],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._pool.load_state_dict(state["pool"])
        self._likely = dict.fromkeys(tuple(arch) for arch in state["likely"])
        self._tried = deque(((tuple(arch), loss) for arch, loss in state["tried"]), maxlen=TRIED)

    def _sides(self) -> list[Arch]:
        """The last architectures that were the most likely, as many from below the limits as from above."""
        latest = list(self._likely)[::-1]
        below = [arch for arch in latest if self._shares.keeps(arch)]
        above = [arch for arch in latest if not self._shares.keeps(arch)]
        return [*below[: SIDES // 2], *above[: SIDES // 2]]
