"""The reachable range of a cost: its least and its largest value over a space."""

from dataclasses import dataclass

from nascc.nas.core.cost import Cost
from nascc.nas.core.randomness import rng
from nascc.nas.core.space import Arch, Space
from nascc.nas.costs.extremes import cheapest, dearest
from nascc.nas.costs.pairwise import Pairwise
from nascc.nas.costs.pairwise_cost import PairwiseCost
from nascc.nas.costs.units import written
from nascc.nas.errors import NotAdditive

STARTS = 8


@dataclass(frozen=True)
class Reach:
    """Least and largest cost, in the metric's unit, and the architectures that have them.

    `exact` is False where they were searched for, so that a better one may exist.
    """

    metric: str
    least: float
    most: float
    cheapest: Arch
    dearest: Arch
    exact: bool = True

    @property
    def ratio(self) -> float:
        """Largest over least."""
        return self.most / self.least if self.least > 0 else float("inf")

    def at(self, share: float) -> float:
        """The cost at a share of the range: 0 is the least, 1 the largest."""
        return self.least + share * (self.most - self.least)

    def __str__(self) -> str:
        return f"{written(self.least, self.metric)} to {written(self.most, self.metric)}"


def reach_of(cost: Cost, space: Space) -> Reach:
    """The range of a cost: exact where its form is known, else by changing one slot at a time from several starts."""
    form = _form(cost)
    low, high = (cheapest(form)[0], dearest(form)[0]) if form is not None else (None, None)
    exact = form is not None and all(abs(form(a) - cost(a)) <= 1e-9 * abs(cost(a)) for a in (low, high) if a)
    if not exact:
        low, high = (_searched(cost, space, sign, start) for sign, start in ((1, low), (-1, high)))
    assert low is not None and high is not None
    return Reach(cost.metric, cost(low), cost(high), low, high, exact)


def _form(cost: Cost) -> Pairwise | None:
    if isinstance(cost, PairwiseCost):
        return cost.form
    try:
        return Pairwise.additive(cost.table(), cost.constant)
    except NotAdditive:
        return None


def _searched(cost: Cost, space: Space, sign: int, first: Arch | None) -> Arch:
    """The best of several descents, of sign * cost."""
    starts = [space.random(rng(0, "reach", k)) for k in range(STARTS)]
    found = [_descended(cost, space, sign, start) for start in ([first] if first is not None else []) + starts]
    return min(found, key=lambda arch: sign * cost(arch))


def _descended(cost: Cost, space: Space, sign: int, arch: Arch) -> Arch:
    best, moved = sign * cost(arch), True
    while moved:
        moved = False
        for slot, choices in enumerate(space.choices):
            for choice in range(choices):
                other = (*arch[:slot], choice, *arch[slot + 1 :])
                if choice != arch[slot] and space.legal(other) and (value := sign * cost(other)) < best:
                    arch, best, moved = other, value, True
    return arch
