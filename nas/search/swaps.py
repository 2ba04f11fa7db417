"""Bring an architecture within its limits by the fewest, least regretted swaps of an operator."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nascc.nas.core.space import Arch
from nascc.nas.errors import BudgetInfeasible
from nascc.nas.search.preference import Preference
from nascc.nas.search.shares import Numbers, Shares

MOST_SWAPS = 3
BEAM = 24
STRICTNESS = (1.0, 8.0)
"""How much an operator's preference may pay for missing the limits, as multiples of the average exchange rate."""


@dataclass(frozen=True)
class Repaired:
    """Where repair ended: `used` is the largest share of any limit, `preference` what the architecture is worth.

    `within` tells whether the limits hold and enough of them is used.
    """

    arch: Arch
    before: Arch
    used: float
    preference: float
    within: bool

    @property
    def swaps(self) -> int:
        """Slots whose operator changed."""
        return swaps(self.arch, self.before)


def repair(
    arch: Arch, preference: Preference, shares: Shares, most_swaps: int = MOST_SWAPS, beam: int = BEAM
) -> Repaired:
    """The most preferred architecture within the limits that a beam search finds; see `repairs`."""
    return repairs(arch, preference, shares, most_swaps, beam)[0]


def repairs(
    arch: Arch, preference: Preference, shares: Shares, most_swaps: int = MOST_SWAPS, beam: int = BEAM
) -> list[Repaired]:
    """Architectures within the limits that a beam search finds at most `most_swaps` swaps away, most preferred first.

    Where nothing fits so near, swaps go on until
    something does; if nothing ever does, the one answer uses most of the limits without breaking one. Costs may be
    tables or black boxes. Raises BudgetInfeasible when no way leads below the limits.
    """
    shares.around(arch)
    seen, frontier = {arch: None}, [arch]
    for depth in range(2 * len(arch)):
        if depth >= most_swaps and any(shares.fits(a) for a in seen):
            break
        frontier = [a for a in _children(frontier, preference, shares, beam) if a not in seen]
        seen |= dict.fromkeys(frontier)
        if not frontier:
            break
    fitting = [a for a in seen if shares.fits(a)]
    near = [a for a in fitting if swaps(a, arch) <= most_swaps] or sorted(fitting, key=lambda a: swaps(a, arch))[:1]
    found = near or [_nearest(seen, shares) or _descend(arch, shares)]
    answers = [Repaired(a, arch, shares.used(a), preference.worth(a), shares.fits(a)) for a in found]
    return sorted(answers, key=order)


def order(found: Repaired) -> tuple[bool, float, int, Arch]:
    """For sorting, best first: within the limits, preferred, few swaps."""
    return not found.within, -found.preference, found.swaps, found.arch


def swaps(one: Arch, other: Arch) -> int:
    """In how many slots two architectures differ."""
    return sum(a != b for a, b in zip(one, other, strict=True))


def _children(frontier: Sequence[Arch], preference: Preference, shares: Shares, beam: int) -> list[Arch]:
    """The most promising architectures one swap away: preferred ones that fit, and compromises with what misses."""
    archs: list[Arch] = []
    values: list[float] = []
    gaps: list[float] = []
    for arch in frontier:
        used, value = shares.neighbours(arch), preference.neighbours(arch)
        used[np.arange(len(arch)), list(arch)] = np.inf
        moved = np.isfinite(used)
        archs += [(*arch[:s], int(k), *arch[s + 1 :]) for s, k in zip(*np.nonzero(moved), strict=True)]
        values += value[moved].tolist()
        gaps += shares.gap(used[moved]).tolist()
    return _promising(archs, np.array(values), np.array(gaps), beam) if archs else []


def _promising(archs: Sequence[Arch], value: Numbers, gap: Numbers, beam: int) -> list[Arch]:
    rate = (np.ptp(value) or 1.0) / (np.ptp(gap) or 1.0)
    keys = [value - strictness * rate * gap for strictness in STRICTNESS]
    keys.append(np.where(gap == 0, value, -np.inf))
    return list(dict.fromkeys(archs[i] for key in keys for i in np.argsort(-key, kind="stable")[:beam]))


def _nearest(archs: Iterable[Arch], shares: Shares) -> Arch | None:
    """The one that uses most of the limits without breaking one."""
    keeping = [arch for arch in archs if shares.keeps(arch)]
    return max(keeping, key=lambda arch: (shares.used(arch), arch), default=None)


def _descend(arch: Arch, shares: Shares) -> Arch:
    """Swap the operator that lowers the largest share most until the limits hold."""
    while not shares.keeps(arch):
        used = shares.around(arch).neighbours(arch)
        slot, index = np.unravel_index(int(np.argmin(used)), used.shape)
        lower = (*arch[:slot], int(index), *arch[slot + 1 :])
        if shares.used(lower) >= shares.used(arch):
            raise BudgetInfeasible(
                f"an architecture must keep the limits, but the cheapest found uses {shares.used(arch):.3f} of one; "
                "raise the budget"
            )
        arch = lower
    return arch
