"""The two searches of a plan: where to cut a row, and how to group a set, so that the pieces' scores add up least."""

from collections.abc import Callable

Score = tuple[float, ...]
"""Compared from left to right; scores of pieces add up entry by entry."""


def cheapest_cuts(n: int, score: Callable[[int, int], Score | None]) -> list[tuple[int, int]]:
    """The pieces (first, end) of 0..n with the least total score; None forbids a piece of several."""
    best: list[tuple[Score, list[tuple[int, int]]]] = [((), [])]
    for end in range(1, n + 1):
        ways = [
            (_plus(best[first][0], piece), [*best[first][1], (first, end)])
            for first in range(end)
            if (piece := score(first, end)) is not None
        ]
        best.append(min(ways, key=lambda way: way[0]))
    return best[n][1]


def cheapest_groups(n: int, score: Callable[[tuple[int, ...]], Score | None]) -> list[tuple[int, ...]]:
    """The groups of 0..n-1 with the least total score, over all partitions; 3^n steps."""
    every = range(1, 1 << n)
    scores = {mask: score(_members(mask)) for mask in every}
    best: dict[int, tuple[Score, list[int]]] = {0: ((), [])}
    for mask in every:
        lowest = mask & -mask
        ways = [
            (_plus(best[mask ^ group][0], piece), [group, *best[mask ^ group][1]])
            for group in _subsets(mask)
            if group & lowest and (piece := scores[group]) is not None
        ]
        best[mask] = min(ways, key=lambda way: way[0])
    return [_members(group) for group in best[(1 << n) - 1][1]]


def _plus(a: Score, b: Score) -> Score:
    return tuple(x + y for x, y in zip(a, b, strict=True)) if a else b


def _members(mask: int) -> tuple[int, ...]:
    return tuple(k for k in range(mask.bit_length()) if mask >> k & 1)


def _subsets(mask: int) -> list[int]:
    """Every non-empty subset of the bits of `mask`, largest first."""
    found, sub = [], mask
    while sub:
        found.append(sub)
        sub = (sub - 1) & mask
    return found
