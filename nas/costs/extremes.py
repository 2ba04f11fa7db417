"""The cheapest and the dearest architecture of a cost with corrections for neighbours, exactly."""

from dataclasses import dataclass

from nascc.nas.core.space import Arch
from nascc.nas.costs.pairwise import Pairwise

Place = tuple[int, int]
"""A place, and the choice that stands there."""


@dataclass(frozen=True)
class _Way:
    """The best way to a place: its cost, and the choices of all places up to there."""

    cost: float
    choices: tuple[int, ...]


def cheapest(cost: Pairwise) -> tuple[Arch, float]:
    """The architecture of the least cost: shortest way through a graph of operators that are no identities."""
    found = min(_ways_to_the_end(cost), key=lambda way: way.cost)
    arch = [0] * sum(slot is not None for slot in cost.slots)
    for slot, choice in zip(cost.slots, found.choices, strict=True):
        if slot is not None:
            arch[slot] = choice
    return tuple(arch), cost(tuple(arch))


def dearest(cost: Pairwise) -> tuple[Arch, float]:
    """The architecture of the largest cost."""
    arch, least = cheapest(cost.scaled(-1.0))
    return arch, -least


def _ways_to_the_end(cost: Pairwise) -> list[_Way]:
    """For every last operator that is no identity, the cheapest network; one that is all identities counts too."""
    ways: dict[Place | None, _Way] = {None: _Way(cost.constant, ())}
    for place, row in enumerate(cost.own):
        arriving: dict[Place | None, _Way] = {}
        for choice, own in enumerate(row):
            if not cost.identity[place][choice]:
                steps = (_step(cost, last, way, (place, choice), own) for last, way in ways.items())
                arriving[place, choice] = min(steps, key=lambda way: way.cost)
        if idle := [k for k, is_identity in enumerate(cost.identity[place]) if is_identity]:
            best = min(idle, key=row.__getitem__)
            arriving |= {last: _Way(way.cost + row[best], (*way.choices, best)) for last, way in ways.items()}
        ways = arriving
    return list(ways.values())


def _step(cost: Pairwise, last: Place | None, way: _Way, here: Place, own: float) -> _Way:
    junction = 0.0
    if last is not None and (matrix := cost.junctions.get((last[0], here[0]))) is not None:
        junction = float(matrix[last[1], here[1]])
    return _Way(way.cost + own + junction, (*way.choices, here[1]))
