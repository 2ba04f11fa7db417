"""The exact best architecture under limits: an integer program where utility and costs add up, else by enumeration."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from nascc.nas.core.cost import Limit
from nascc.nas.core.space import Arch
from nascc.nas.errors import BudgetInfeasible, SearchError
from nascc.nas.search.oracle import Oracle, Rows

LARGEST_ENUMERATION = 4_000_000
SOLVER_TOLERANCE = 1e-7
"""How far above a limit, as a share of it, the solver may land; what does is solved again with that much less."""


def optimum(oracle: Oracle, limits: Sequence[Limit], at_least: float = 0.0) -> Arch:
    """The architecture of the largest utility that keeps every limit; with pairs, by enumeration.

    `at_least` > 0 also asks that this share of each limit is used. Costs must be additive, else NotAdditive; nothing
    feasible raises BudgetInfeasible; too many architectures to enumerate raise SearchError.
    """
    return _enumerate(oracle, limits, at_least) if oracle.pairs else best_sum(oracle.rows, limits, at_least)


def best_sum(rows: Rows, limits: Sequence[Limit], at_least: float = 0.0) -> Arch:
    """The architecture of the largest sum of `rows[s][a_s]` that keeps every limit (multiple-choice knapsack)."""
    choices = tuple(map(len, rows))
    slots = np.repeat(np.arange(len(choices)), choices)
    one_each = csr_array((np.ones(len(slots)), (slots, np.arange(len(slots)))))
    value = np.concatenate([np.asarray(row, float) for row in rows])
    value = (value - value.min()) / (np.ptp(value) or 1.0)
    for slack in (0.0, SOLVER_TOLERANCE, 10 * SOLVER_TOLERANCE):
        constraints = [LinearConstraint(one_each, 1, 1)]
        for limit in limits:
            shares = np.concatenate([np.asarray(row, float) for row in limit.cost.table()]) / limit.at_most
            free = 1 - limit.cost.constant / limit.at_most
            constraints.append(LinearConstraint(shares[None], free - 1 + at_least if at_least else -np.inf, free - slack))
        found = milp(-value, integrality=np.ones_like(value), bounds=Bounds(0, 1), constraints=constraints,
                     options={"mip_rel_gap": 0.0})  # fmt: skip
        if found.x is None:
            break
        starts = np.cumsum((0, *choices[:-1]))
        arch = tuple(int(np.argmax(found.x[a : a + n])) for a, n in zip(starts, choices, strict=True))
        if all(limit.holds(arch) for limit in limits):
            return arch
    raise BudgetInfeasible(_message(limits))


def _enumerate(oracle: Oracle, limits: Sequence[Limit], at_least: float) -> Arch:
    choices = oracle.choices
    if (size := math.prod(choices)) > LARGEST_ENUMERATION:
        raise SearchError(f"pairs must be enumerated, {LARGEST_ENUMERATION} architectures at most, got {size}")
    value = _sums(oracle.rows)
    for (s, t), matrix in oracle.pairs.items():
        shape = [1] * len(choices)
        shape[s], shape[t] = choices[s], choices[t]
        value = value + (matrix if s < t else matrix.T).numpy().reshape(shape)
    for limit in limits:
        shares = (_sums(limit.cost.table()) + limit.cost.constant) / limit.at_most
        value = np.where((shares <= 1) & (shares >= at_least), value, -np.inf)
    if not np.isfinite(value).any():
        raise BudgetInfeasible(_message(limits))
    return tuple(int(index) for index in np.unravel_index(np.argmax(value), choices))


def _sums(rows: Rows) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """Sums over all architectures, an axis a slot."""
    total = np.zeros((1,) * len(rows))
    for slot, row in enumerate(rows):
        total = total + np.asarray(row, float).reshape([-1 if axis == slot else 1 for axis in range(len(rows))])
    return total


def _message(limits: Sequence[Limit]) -> str:
    wanted = ", ".join(f"{limit.cost.metric} <= {limit.at_most:g} {limit.cost.unit}" for limit in limits)
    return f"an architecture must keep {wanted}, and none does; raise the budget"
