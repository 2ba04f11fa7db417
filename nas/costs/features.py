"""Architectures as numbers: one column an operator of a slot."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from nascc.nas.core.space import Arch, Space
from nascc.nas.costs.networks import Vector
from nascc.nas.costs.pairwise import Matrix


def one_hot_rows(archs: Sequence[Arch], choices: Sequence[int]) -> Matrix:
    """[n, sum of choices]: a one for each slot's operator."""
    starts = np.array(list(accumulate(choices, initial=0))[:-1])
    rows = np.zeros((len(archs), sum(choices)))
    columns = np.asarray(archs, dtype=int).reshape(len(archs), len(choices)) + starts
    np.put_along_axis(rows, columns, 1.0, axis=1)
    return rows


def by_name(space: Space) -> Matrix:
    """[sum of choices, names]: which columns of `one_hot_rows` stand for operators of one name."""
    names = [name for slot in space.slots for name in slot.names]
    return np.array([[float(name == other) for other in dict.fromkeys(names)] for name in names])


def as_rows(values: Vector, choices: Sequence[int]) -> list[list[float]]:
    """A value a column -> a list a slot."""
    ends = list(accumulate(choices, initial=0))
    return [[float(v) for v in values[a:b]] for a, b in pairwise(ends)]
