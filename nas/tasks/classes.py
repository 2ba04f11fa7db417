"""Which classes of a data set a task uses."""

import difflib
from collections.abc import Sequence

from nascc.nas.core.randomness import rng
from nascc.nas.errors import BadData

RANDOM = "random:"


def choose_classes(wanted: str | tuple[str, ...], found: Sequence[str], seed: int) -> tuple[str, ...]:
    """`all`, `random:N`, `a,b,c` or a list of names, chosen among those `found` and sorted as they are.

    Raises BadData for fewer than two classes and for names that are not there.
    """
    names = _named(wanted, found, seed)
    if unknown := [name for name in names if name not in set(found)]:
        near = difflib.get_close_matches(unknown[0], found) or sorted(found)[:5]
        raise BadData(
            f"classes must be among those of the data, found none called '{unknown[0]}'; near: {', '.join(near)}"
        )
    if len(set(names)) < 2:
        raise BadData(f"a classifier needs two classes or more, found {len(set(names))}: {', '.join(names) or 'none'}")
    return tuple(name for name in found if name in set(names))


def _named(wanted: str | tuple[str, ...], found: Sequence[str], seed: int) -> Sequence[str]:
    if not isinstance(wanted, str):
        return wanted
    if wanted == "all":
        return found
    if not wanted.startswith(RANDOM):
        return [name.strip() for name in wanted.split(",") if name.strip()]
    count = wanted.removeprefix(RANDOM)
    if not count.isdecimal() or not 2 <= int(count) <= len(found):
        raise BadData(
            f"classes must be 'random:N' with N from 2 to {len(found)}, the number of classes, got '{wanted}'"
        )
    return rng(seed, "classes").sample(list(found), int(count))
