"""How much of its limits an architecture and all its neighbours use."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nascc.nas.core.cost import LEAST_SHARE, Limit
from nascc.nas.core.space import Arch
from nascc.nas.errors import NotAdditive

Numbers = NDArray[np.float64]


class Shares:
    """cost / limit of architectures.

    Where costs are additive, neighbours are sums of tables. A black box is asked once for each neighbour of the
    architecture that `around` is given, and differences are added up from there: what counts in the end, `used` and
    `fits`, always asks the costs themselves.
    """

    def __init__(self, choices: Sequence[int], limits: Sequence[Limit], at_least: float = LEAST_SHARE) -> None:
        self.choices, self.limits, self.at_least = tuple(choices), tuple(limits), at_least
        self._tables = [_table(limit, max(choices)) for limit in limits]
        self._additive = [table is not None for table in self._tables]
        self._known: dict[Arch, tuple[float, ...]] = {}

    def around(self, arch: Arch) -> "Shares":
        """Take differences of black-box costs at `arch`; returns itself."""
        self._tables = [
            table if additive else self._differences(arch, limit)
            for limit, table, additive in zip(self.limits, self._tables, self._additive, strict=True)
        ]
        return self

    def each(self, arch: Arch) -> tuple[float, ...]:
        """The share of each limit, by the costs themselves; 1 is exactly at it."""
        if arch not in self._known:
            self._known[arch] = tuple(limit.used(arch) for limit in self.limits)
        return self._known[arch]

    def used(self, arch: Arch) -> float:
        """The largest share of any limit; 1 where there is no limit."""
        return max(self.each(arch), default=1.0)

    def keeps(self, arch: Arch) -> bool:
        """Whether every limit holds."""
        return all(limit.holds(arch) for limit in self.limits)

    def fits(self, arch: Arch) -> bool:
        """Whether every limit holds and the largest share is no smaller than `at_least`."""
        return self.used(arch) >= self.at_least and self.keeps(arch)

    def gap(self, used: Numbers) -> Numbers:
        """How far shares are outside [at_least, 1]."""
        found: Numbers = np.maximum(0.0, np.maximum(used - 1, self.at_least - used))
        return found

    def neighbours(self, arch: Arch) -> Numbers:
        """The largest share after each swap of one operator, [S, C]; infinite beyond a slot's operators."""
        found = np.full((len(self.choices), max(self.choices)), -np.inf if self.limits else 1.0)
        for share, table in zip(self.each(arch), self._tables, strict=True):
            assert table is not None, "Shares.around must have been called"
            found = np.maximum(found, share + table - table[np.arange(len(arch)), list(arch)][:, None])
        for slot, number in enumerate(self.choices):
            found[slot, number:] = np.inf
        return found

    def _differences(self, arch: Arch, limit: Limit) -> Numbers:
        found = np.full((len(self.choices), max(self.choices)), np.inf)
        for slot, number in enumerate(self.choices):
            for index in range(number):
                found[slot, index] = limit.used((*arch[:slot], index, *arch[slot + 1 :]))
        return found


def _table(limit: Limit, columns: int) -> Numbers | None:
    try:
        rows = limit.cost.table()
    except NotAdditive:
        return None
    return np.array([[*row, *[np.inf] * (columns - len(row))] for row in rows]) / limit.at_most
