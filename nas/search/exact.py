"""The exact best architecture under limits: a dynamic program where everything adds up, else enumeration."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nascc.nas.core.cost import Limit
from nascc.nas.core.space import Arch
from nascc.nas.errors import BudgetInfeasible, SearchError
from nascc.nas.search.oracle import Oracle, Rows

Numbers = NDArray[np.float64]
LARGEST_ENUMERATION = 4_000_000
BISECTIONS = 60
ROUNDING = 1e-12


def optimum(oracle: Oracle, limits: Sequence[Limit]) -> Arch:
    """The architecture of the largest utility that keeps every limit.

    Sums under one limit are solved for any size; pairs and several limits by enumeration. Costs must be additive, else
    NotAdditive. Raises BudgetInfeasible when nothing keeps the limits, SearchError when there is too much to enumerate.
    """
    if not oracle.pairs and len(limits) == 1:
        return best_sum(oracle.rows, limits[0])
    return _enumerate(oracle, limits)


def best_sum(rows: Rows, limit: Limit) -> Arch:
    """The architecture of the largest sum of `rows[s][a_s]` under one limit (multiple-choice knapsack), exactly.

    A dynamic program over slots whose states are partial choices that no other beats in both sum and cost, and that a
    Lagrangian bound does not rule out.
    """
    values = [np.asarray(row, float) for row in rows]
    costs = [np.asarray(row, float) for row in limit.cost.table()]
    room = limit.at_most - limit.cost.constant
    bound = _bound(values, costs, room, limit)
    value, cost, trail = np.zeros(1), np.zeros(1), []
    for slot, (own, price) in enumerate(zip(values, costs, strict=True)):
        rest_cost = sum(float(later.min()) for later in costs[slot + 1 :])
        ceiling = bound.rest(values[slot + 1 :], costs[slot + 1 :])
        value, cost = (value[:, None] + own).ravel(), (cost[:, None] + price).ravel()
        slack = ROUNDING * (abs(bound.floor) + 1)
        hopeful = value + bound.price * (room - cost) + ceiling >= bound.floor - slack
        kept = np.nonzero(hopeful & (cost + rest_cost <= room * (1 + ROUNDING)))[0]
        kept = kept[np.lexsort((-value[kept], cost[kept]))]
        kept = kept[_improving(value[kept])]
        value, cost = value[kept], cost[kept]
        trail.append(np.divmod(kept, len(own)))
    for state in np.argsort(-value, kind="stable"):
        if limit.holds(arch := _follow(trail, int(state))):
            return arch
    raise BudgetInfeasible(_message([limit]))


@dataclass(frozen=True)
class _Bound:
    """No completion is worth more than what it has + price * room left + `rest`; some architecture has `floor`."""

    price: float
    floor: float

    def rest(self, values: Sequence[Numbers], costs: Sequence[Numbers]) -> float:
        return sum(float((v - self.price * c).max()) for v, c in zip(values, costs, strict=True))


def _bound(values: Sequence[Numbers], costs: Sequence[Numbers], room: float, limit: Limit) -> _Bound:
    """Bisect the price of cost; every price gives an architecture, the best that keeps the limit is the floor."""
    low, high, floor = 0.0, 1.0, -math.inf
    rises = max(float(np.ptp(v)) for v in values)
    steps = [float(d) for c in costs for d in np.diff(np.unique(c)) if d > 0]
    high = rises / min(steps, default=1.0) or 1.0
    for _ in range(BISECTIONS):
        price = (low + high) / 2
        arch = tuple(int(np.lexsort((c, price * c - v))[0]) for v, c in zip(values, costs, strict=True))
        if limit.holds(arch):
            floor, high = max(floor, sum(float(v[i]) for v, i in zip(values, arch, strict=True))), price
        else:
            low = price
    return _Bound(high, floor)


def _improving(value: Numbers) -> NDArray[np.bool_]:
    """Which entries are larger than all before them."""
    before = np.concatenate(([-np.inf], np.maximum.accumulate(value)[:-1])) if len(value) else value
    return np.asarray(value > before)


def _follow(trail: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], state: int) -> Arch:
    """The choices that led to a state of the last slot."""
    arch: list[int] = []
    for parents, choices in reversed(trail):
        arch.append(int(choices[state]))
        state = int(parents[state])
    return tuple(reversed(arch))


def _enumerate(oracle: Oracle, limits: Sequence[Limit]) -> Arch:
    choices = oracle.choices
    if (size := math.prod(choices)) > LARGEST_ENUMERATION:
        raise SearchError(
            f"pairs and several limits must be enumerated, {LARGEST_ENUMERATION} architectures at most, got {size}"
        )
    value = _sums(oracle.rows)
    for (s, t), matrix in oracle.pairs.items():
        shape = [1] * len(choices)
        shape[s], shape[t] = choices[s], choices[t]
        value = value + (matrix if s < t else matrix.T).numpy().reshape(shape)
    for limit in limits:
        value = np.where(_sums(limit.cost.table()) + limit.cost.constant <= limit.at_most, value, -np.inf)
    for flat in np.argsort(-value, axis=None, kind="stable"):
        arch = tuple(int(index) for index in np.unravel_index(flat, choices))
        if not np.isfinite(value[arch]):
            break
        if all(limit.holds(arch) for limit in limits):
            return arch
    raise BudgetInfeasible(_message(limits))


def _sums(rows: Rows) -> Numbers:
    """Sums over all architectures, an axis a slot."""
    total = np.zeros((1,) * len(rows))
    for slot, row in enumerate(rows):
        total = total + np.asarray(row, float).reshape([-1 if axis == slot else 1 for axis in range(len(rows))])
    return total


def _message(limits: Sequence[Limit]) -> str:
    wanted = ", ".join(f"{limit.cost.metric} <= {limit.at_most:g} {limit.cost.unit}" for limit in limits)
    return f"an architecture must keep {wanted}, and none does; raise the budget"
