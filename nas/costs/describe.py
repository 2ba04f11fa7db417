"""Describe a whole space: every operator in its place, and all neighbours that act on each other."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product

from nascc.nas.costs.described import DescribedSpace
from nascc.nas.costs.describer import Describer
from nascc.nas.costs.description import Description, meet
from nascc.nas.spaces import MacroSpace

Told = Callable[[int, int, str], None]
"""Takes how many descriptions are done, of how many, and what is described next."""


def describe(space: MacroSpace, describer: Describer, told: Told | None = None) -> DescribedSpace:
    """Describe every operator of a space in its place, then all neighbours between which passes may act.

    `told` hears of every description before it is made. Raises CompileError, OSError.
    """
    with describer.saving():
        work = [(i, k) for i, place in enumerate(space.places) for k in range(len(place.ops))]
        own: list[list[Description]] = [[] for _ in space.places]
        for done, (i, k) in enumerate(work):
            _tell(told, done, len(work), f"{space.places[i].name} {space.places[i].ops[k].name}")
            own[i].append(describer.operator(space.places[i].ops[k], space.places[i].ctx))
        pairs = list(_open_pairs(own))
        junctions: dict[tuple[int, int], dict[tuple[int, int], Description]] = {}
        for done, ((i, k), (j, m)) in enumerate(pairs):
            first, second = space.places[i], space.places[j]
            _tell(told, len(work) + done, len(work) + len(pairs), f"{first.name} with {second.name}")
            chain = describer.chain([(first.ops[k], first.ctx), (second.ops[m], second.ctx)])
            junctions.setdefault((i, j), {})[k, m] = chain
        _tell(told, len(work) + len(pairs), len(work) + len(pairs), "done")
    return DescribedSpace(space, describer, tuple(map(tuple, own)), junctions)


def _open_pairs(own: Sequence[Sequence[Description]]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """All pairs of (place, choice) that can be neighbours, identities between them left out, and act on each other."""
    for i, row in enumerate(own):
        for j in range(i + 1, len(own)):
            for (k, before), (m, after) in product(enumerate(row), enumerate(own[j])):
                if not (before.identity or after.identity) and meet(before, after):
                    yield (i, k), (j, m)
            if not any(d.identity for d in own[j]):
                break


def _tell(told: Told | None, done: int, total: int, what: str) -> None:
    if told is not None:
        told(done, total, what)
