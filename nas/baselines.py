"""Networks of equal cost to compare a found one with: random ones, and one network scaled to the budget."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from nascc.nas.core import Arch, Cost, Limit, Space
from nascc.nas.errors import SearchError
from nascc.nas.macro import Macro

WINDOW = 0.02
"""Random networks cost at most this share less than the found one."""
WALK, RESTARTS = 400, 200
FACTORS = tuple(1.05**k for k in range(-40, 33))
"""Scales that are tried for a network, 0.14 to 4.8."""
KINDS = ("random", "width", "resolution")


@dataclass(frozen=True)
class Wanted:
    """One baseline asked for: its kind, and how many."""

    kind: str
    count: int = 1


def parse_baselines(text: str, kinds: Sequence[str] = KINDS) -> tuple[Wanted, ...]:
    """'random:5,width,resolution', or 'none'. Raises SearchError."""
    if text in ("", "none"):
        return ()
    return tuple(_wanted(word.strip(), kinds) for word in text.split(","))


def _wanted(word: str, kinds: Sequence[str]) -> Wanted:
    kind, _, count = word.partition(":")
    if kind not in kinds or (count and (kind != "random" or not count.isdecimal() or int(count) == 0)):
        others = ", ".join(f"'{other}'" for other in kinds[1:])
        raise SearchError(f"a baseline must be 'random:COUNT', {others} or 'none', got '{word}'")
    return Wanted(kind, int(count or 1))


def random_networks(
    space: Space, cost: Cost, at_most: float, limits: tuple[Limit, ...], count: int, rng: random.Random
) -> tuple[Arch, ...]:
    """Different random architectures that cost at most `at_most` and at least 2 % less, and keep the limits.

    A uniform draw walks by random changes of one slot until it falls into the window. Fewer come back where the space
    has no more.
    """
    found: dict[Arch, None] = {}
    for _ in range(RESTARTS * count):
        if len(found) == count:
            break
        arch = walked(space, cost, space.random(rng), ((1 - WINDOW) * at_most, at_most), rng)
        if arch is not None and all(limit.holds(arch) for limit in limits):
            found[arch] = None
    return tuple(found)


def walked(
    space: Space, cost: Callable[[Arch], float], arch: Arch, window: tuple[float, float], rng: random.Random
) -> Arch | None:
    """Random changes of one slot that come nearer to the window of costs; None where they do not get there."""
    low, high = window
    now = cost(arch)
    for _ in range(WALK):
        if low <= now <= high:
            return arch
        slot = rng.randrange(len(space.slots))
        changed = (*arch[:slot], rng.randrange(space.choices[slot]), *arch[slot + 1 :])
        value = cost(changed) if space.legal(changed) else now
        if space.legal(changed) and _distance(value, window) < _distance(now, window):
            arch, now = changed, value
    return None


def _distance(value: float, window: tuple[float, float]) -> float:
    return max(window[0] - value, value - window[1], 0.0)


def largest_scaled(macro: Macro, kind: str, cost_of: Callable[[Macro], float], at_most: float) -> Macro | None:
    """The macro with the largest `kind` ('width', 'resolution') whose network costs at most `at_most`.

    `cost_of` builds and costs a network of a macro. None where even the smallest costs more.
    """
    best = None
    candidates = list(_scaled(macro, kind))
    low, high = 0, len(candidates)
    while low < high:  # costs grow with the scale
        middle = (low + high) // 2
        if cost_of(candidates[middle]) <= at_most:
            best, low = candidates[middle], middle + 1
        else:
            high = middle
    return best


def _scaled(macro: Macro, kind: str) -> Iterator[Macro]:
    """Different macros, smallest first."""
    before = None
    for factor in FACTORS:
        scaled = macro.scaled(**{kind: factor})
        if scaled != before and min(scaled.input[1:]) >= 8:
            yield scaled
        before = scaled
