"""Networks of equal cost beside a found one: random ones of the space, the initial one scaled or made shorter."""

from bisect import bisect_left
from collections.abc import Iterator

from nascc.nas.baselines import parse_baselines, random_networks
from nascc.nas.core import Arch
from nascc.nas.core.randomness import rng
from nascc.nas.elastic import ElasticSpace
from nascc.nas.netadapt.config import BASELINES
from nascc.nas.netadapt.costing import ElasticCost

Rival = tuple[str, Arch]
"""A kind, numbered where there are several, and an architecture."""


def rivals(text: str, space: ElasticSpace, cost: ElasticCost, found: Arch, seed: int, goal: str) -> Iterator[Rival]:
    """The baselines that are asked for, none dearer than the found network; what can not be so cheap is left out."""
    at_most = cost(found)
    for wanted in parse_baselines(text, BASELINES):
        if wanted.kind == "random":
            guessed = _Guessed(cost, at_most / max(cost.guess(found), 1e-300))
            draw = rng(seed, "baselines", goal)
            archs = random_networks(space, guessed, at_most, (), wanted.count, draw)  # type: ignore[arg-type]
            yield from ((f"random{number}", arch) for number, arch in enumerate(archs, 1))
        else:
            ways = uniform(space) if wanted.kind == "width" else shortened(space)
            if (arch := dearest(ways, cost, at_most)) is not None:
                yield wanted.kind, arch


class _Guessed:
    """Guesses as a cost, scaled so that the found network costs what it does."""

    def __init__(self, cost: ElasticCost, factor: float) -> None:
        self.cost, self.factor = cost, factor

    def __call__(self, arch: Arch) -> float:
        return self.cost.guess(arch) * self.factor


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
    """Residual blocks, or else single layers, lose all filters one after the other from the end of the network."""
    blocks = [side for sides in space.layout.branches.values() for side in sides if side]
    blocks = [block for block in blocks if len(block) <= 4] or [frozenset({k}) for k in space.layout.shrinkable]
    arch = space.largest
    yield arch
    for block in sorted(blocks, key=max, reverse=True):
        arch = tuple(
            len(choice.values) - 1 if choice.layer in block and not choice.is_kernel else index
            for index, choice in zip(arch, space.selected, strict=True)
        )
        yield arch
    for k in reversed(space.layout.shrinkable):
        arch = tuple(
            len(choice.values) - 1 if choice.layer == k and not choice.is_kernel else index
            for index, choice in zip(arch, space.selected, strict=True)
        )
        yield arch


def dearest(ways: Iterator[Arch], cost: ElasticCost, at_most: float) -> Arch | None:
    """The first of a series of ever cheaper networks that is cheap enough."""
    series = list(ways)
    first = bisect_left(series, True, key=lambda arch: cost(arch) <= at_most)
    return series[first] if first < len(series) else None
