"""Networks of equal cost beside a found one: random ones of the space, the initial one scaled or made shorter."""

import random
from collections.abc import Collection, Iterable, Iterator
from itertools import combinations, islice

from nascc.nas.baselines import WINDOW, parse_baselines, walked
from nascc.nas.core import Arch
from nascc.nas.core.randomness import rng
from nascc.nas.elastic import ElasticSpace
from nascc.nas.netadapt.config import BASELINES
from nascc.nas.netadapt.costing import ElasticCost
from nascc.nas.netadapt.descent import Resource

LONGEST, ENUMERATED = 4, 8
"""Layers of a residual block that may go, and how many blocks every choice of is looked at."""
SLACK = 1.2
"""How far above the limit a guess may be for a network to be looked at."""
LOOKED_AT = 4
"""Cheap enough networks of which the dearest counts."""
DRAWS, CORRECTIONS = 20, 8
"""Draws for a random network that is asked for, and how often the guesses of one are corrected."""
Rival = tuple[str, Arch]
"""A kind, numbered where there are several, and an architecture."""


def rivals(text: str, space: ElasticSpace, cost: ElasticCost, found: Arch, seed: int, goal: str) -> Iterator[Rival]:
    """The baselines that are asked for, none dearer than the found network; what can not be so cheap is left out."""
    at_most = cost(found)
    for wanted in parse_baselines(text, BASELINES):
        if wanted.kind == "random":
            draw = rng(seed, "baselines", goal)
            archs = equal_networks(space, cost, found, wanted.count, draw)
            yield from ((f"random{number}", arch) for number, arch in enumerate(archs, 1))
        else:
            ways = uniform(space) if wanted.kind == "width" else shortened(space)
            if (arch := dearest(ways, cost, at_most)) is not None:
                yield wanted.kind, arch


def equal_networks(
    space: ElasticSpace, cost: Resource, found: Arch, count: int, draw: random.Random
) -> tuple[Arch, ...]:
    """Different random networks, none dearer than the found one, as near to its cost as a few corrections bring them.

    A uniform draw walks by guesses into a window below the cost; where it really stands corrects its guesses.
    """
    known: dict[Arch, None] = {}
    for _ in range(DRAWS * count):
        if len(known) == count:
            break
        if (arch := _equal(space, cost, found, draw)) is not None and arch != found:
            known[arch] = None
    return tuple(known)


def _equal(space: ElasticSpace, cost: Resource, found: Arch, draw: random.Random) -> Arch | None:
    at_most, nearest = cost(found), None
    like, arch = found, space.random(draw)
    for _ in range(CORRECTIONS):
        factor = cost(like) / max(cost.guess(like), 1e-300)
        window = ((1 - WINDOW) * at_most / factor, at_most / factor)
        if (there := walked(space, cost.guess, arch, window, draw)) is None:
            break
        like = arch = there
        if cost(arch) <= at_most and (nearest is None or cost(arch) > cost(nearest)):
            nearest = arch
        if (1 - WINDOW) * at_most <= cost(arch) <= at_most:
            break
    return nearest


def uniform(space: ElasticSpace) -> Iterator[Arch]:
    """Every layer at the same share of its filters, kernels as they are; from the largest down.

    Between two levels the later layers go first, so that the costs lie close.
    """
    arch = space.largest
    yield arch
    while True:
        levels = [index for index, choice in zip(arch, space.selected, strict=True) if not choice.is_kernel]
        least = min(levels, default=0)
        changed = False
        for slot in reversed(range(len(arch))):
            choice = space.selected[slot]
            if not choice.is_kernel and arch[slot] == least and (smaller := space.shrink(arch, slot)) is not None:
                if choice.values[smaller[slot]] == 0:
                    continue
                arch, changed = smaller, True
                yield arch
        if not changed:
            return


def shortened(space: ElasticSpace) -> Iterator[Arch]:
    """Residual blocks lose all their filters, in every choice (of many: more and more from the end); then layers do.

    Where there are no such blocks, single layers lose theirs.
    """
    sides = [side for sides in space.layout.branches.values() for side in sides if 0 < len(side) <= LONGEST]
    blocks = sorted(sides, key=max, reverse=True)
    if len(blocks) <= ENUMERATED:
        chosen = [set().union(*some) for count in range(len(blocks) + 1) for some in combinations(blocks, count)]
    else:
        chosen = [set().union(*blocks[:count]) for count in range(len(blocks) + 1)]
    gone: set[int] = set(chosen[-1])
    for layer in reversed(space.layout.shrinkable):
        gone.add(layer)
        chosen.append(set(gone))
    for layers in chosen:
        yield _without(space, layers)


def _without(space: ElasticSpace, layers: Collection[int]) -> Arch:
    """The initial network without some layers."""
    return tuple(
        len(choice.values) - 1 if choice.layer in layers and not choice.is_kernel else 0 for choice in space.selected
    )


def dearest(ways: Iterable[Arch], cost: ElasticCost, at_most: float) -> Arch | None:
    """The dearest network that is cheap enough, of the first few by guesses."""
    factor = cost(cost.space.largest) / max(cost.guess(cost.space.largest), 1e-300)
    ranked = sorted(set(ways), key=lambda arch: (-cost.guess(arch), arch))
    near = (arch for arch in ranked if cost.guess(arch) * factor <= SLACK * at_most)
    fitting = list(islice((arch for arch in near if cost(arch) <= at_most), LOOKED_AT))
    return max(fitting, key=cost, default=None)
