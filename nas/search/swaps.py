"""Bring an architecture within its limits by the fewest, least regretted swaps of an operator."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from nascc.nas.core.space import Arch
from nascc.nas.errors import BudgetInfeasible
from nascc.nas.search.shares import Numbers, Shares

MOST_SWAPS = 3
BEAM = 24
STRICTNESS = (1.0, 8.0)
"""How much an operator's preference may pay for missing the limits, as multiples of the average exchange rate."""


@dataclass(frozen=True)
class Repaired:
    """Where repair ended: `used` is the largest share of any limit, `preference` the sum over the operators chosen.

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
        return sum(a != b for a, b in zip(self.arch, self.before, strict=True))


def repair(arch: Arch, preference: Numbers, shares: Shares, most_swaps: int = MOST_SWAPS, beam: int = BEAM) -> Repaired:
    """The most preferred architecture within the limits that a beam search finds at most `most_swaps` swaps away.

    `preference` [S, C] is what a choice is worth, such as log P. Where nothing fits so near, swaps go on until something
    does; if nothing ever does, the nearest one that keeps the limits is returned. Costs may be tables or black boxes.
    Raises BudgetInfeasible when no way leads below the limits.
    """
    shares.around(arch)
    seen, frontier = {arch}, [arch]
    found = _best([arch], preference, shares)
    for depth in range(2 * len(arch)):
        if found is not None and depth >= most_swaps:
            break
        frontier = [a for a in _children(frontier, preference, shares, beam) if a not in seen]
        seen.update(frontier)
        better = _best([*frontier, *([found] if found else [])], preference, shares)
        found = better or found
        if not frontier:
            break
    chosen = found or _nearest(seen, shares) or _descend(arch, shares)
    return Repaired(chosen, arch, shares.used(chosen), worth(chosen, preference), shares.fits(chosen))


def worth(arch: Arch, preference: Numbers) -> float:
    """The sum of the preferences of the operators chosen."""
    return float(preference[np.arange(len(arch)), list(arch)].sum())


def _children(frontier: Iterable[Arch], preference: Numbers, shares: Shares, beam: int) -> list[Arch]:
    """The most promising architectures one swap away: preferred ones that fit, and compromises with what misses."""
    archs: list[Arch] = []
    values: list[Numbers] = []
    gaps: list[Numbers] = []
    for arch in frontier:
        used = shares.neighbours(arch)
        value = worth(arch, preference) + preference - preference[np.arange(len(arch)), list(arch)][:, None]
        gap = np.maximum(0.0, np.maximum(used - 1, shares.at_least - used))
        for slot, index in zip(*np.nonzero(np.isfinite(used)), strict=True):
            if arch[slot] != index:
                archs.append((*arch[:slot], int(index), *arch[slot + 1 :]))
        moved = np.isfinite(used)
        moved[np.arange(len(arch)), list(arch)] = False
        values.append(value[moved])
        gaps.append(gap[moved])
    if not archs:
        return []
    value, gap = np.concatenate(values), np.concatenate(gaps)
    rate = (np.ptp(value) or 1.0) / (np.ptp(gap) or 1.0)
    keys = [value - strictness * rate * gap for strictness in STRICTNESS]
    keys.append(np.where(gap == 0, value, -np.inf))
    order = dict.fromkeys(archs[i] for key in keys for i in np.argsort(-key, kind="stable")[:beam])
    return list(order)


def _best(archs: Sequence[Arch], preference: Numbers, shares: Shares) -> Arch | None:
    """The most preferred of those that fit, by the costs themselves."""
    fitting = [arch for arch in archs if shares.fits(arch)]
    return max(fitting, key=lambda arch: (worth(arch, preference), arch), default=None)


def _nearest(archs: Iterable[Arch], shares: Shares) -> Arch | None:
    """The one that uses most of the limits without breaking one."""
    keeping = [arch for arch in archs if shares.used(arch) <= 1]
    return max(keeping, key=lambda arch: (shares.used(arch), arch), default=None)


def _descend(arch: Arch, shares: Shares) -> Arch:
    """Swap the operator that lowers the largest share most until the limits hold."""
    while shares.used(arch) > 1:
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
