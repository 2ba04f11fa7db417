"""The integer program against brute force: every budget, tie and overlap that small instances can have."""

import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nascc.nas.core import Arch
from nascc.nas.errors import BudgetInfeasible
from nascc.nas.program import Budgeted, Program, diverse, solve
from nascc.nas.program.instance import Table

NUMBERS = st.one_of(
    st.integers(-3, 4).map(float),  # ties, nothing, and what is less than nothing
    st.floats(-1.0, 3.0, allow_nan=False).map(lambda v: round(v, 6)),
)
SHARES = (0.7, 0.0, 0.5, 1.0)


@st.composite
def tables(draw: st.DrawFn, sizes: Sequence[int]) -> Table:
    return tuple(tuple(draw(st.lists(NUMBERS, min_size=n, max_size=n))) for n in sizes)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Up to five layers of up to four operators, layers without a choice among them, under up to three budgets."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    budgets = []
    for k in range(draw(st.integers(0, 3))):
        costs, constant = draw(tables(sizes)), draw(st.sampled_from([0.0, 2.5, -1.0]))
        some = [draw(st.integers(0, n - 1)) for n in sizes]
        exact = constant + sum(row[index] for row, index in zip(costs, some, strict=True))
        budgets.append(Budgeted(f"cost{k}", costs, exact + draw(st.sampled_from([0.0, 0.0, 0.4, -0.3])), constant))
    return Program(draw(tables(sizes)), tuple(budgets))


def every(p: Program) -> list[Arch]:
    return [arch for arch in itertools.product(*map(range, p.sizes)) if p.keeps(arch)]


def left_of(p: Program, archs: Sequence[Arch], found: Sequence[Arch], share: float) -> list[Arch]:
    """Those that differ enough from all that were found."""
    most = min(math.floor(share * len(p.free) + 1e-9), len(p.free) - 1)
    return [a for a in archs if all(p.overlap(a, other) <= most for other in found)]


def check(p: Program, count: int, share: float) -> None:
    """Every solution is the best of those that may follow; and they end only where none is left."""
    archs = every(p)
    if not archs:
        with pytest.raises(BudgetInfeasible):
            diverse(p, count, share)
        return
    found = [one.arch for one in diverse(p, count, share)]
    for k, arch in enumerate(found):
        left = left_of(p, archs, found[:k], share)
        assert arch in left, f"solution {k} is not allowed"
        assert p.objective(arch) == pytest.approx(min(map(p.objective, left)), rel=1e-9, abs=1e-9), f"solution {k}"
    assert len(found) == count or not left_of(p, archs, found, share)
    assert diverse(p, count, share) == diverse(p, count, share)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(programs(), st.sampled_from(SHARES))
def test_all_solutions_are_those_of_brute_force(p: Program, share: float) -> None:
    check(p, 5, share)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(programs(), st.integers(1, 40), st.sampled_from(SHARES))
def test_many_solutions_are_those_of_brute_force(p: Program, count: int, share: float) -> None:
    check(p, count, share)


def test_more_are_asked_for_than_there_are() -> None:
    p = Program(((0.0, 1.0), (0.0, 2.0)), (Budgeted("latency", ((2.0, 1.0), (2.0, 1.0)), 3.0),))
    assert [one.arch for one in diverse(p, 100, share=0.5)] == [(1, 0), (0, 1), (1, 1)]


def test_whole_numbers_can_be_out_of_reach_where_fractions_are_not() -> None:
    """Half of each operator would keep both budgets, no operator does."""
    costs = ((0.0, 2.0),), ((2.0, 0.0),)
    p = Program(((0.0, 0.0),), tuple(Budgeted(f"cost{k}", own, 1.0) for k, own in enumerate(costs)))
    with pytest.raises(BudgetInfeasible, match="no choice keeps all budgets together"):
        solve(p)


def test_what_is_a_hair_above_a_budget_is_not_taken() -> None:
    """Solvers of integer programs forgive more than a budget does."""
    costs = ((1.0 + 3e-7, 0.5), (1.0, 0.5))
    p = Program(((0.0, 1.0), (0.0, 1.5)), (Budgeted("latency", costs, 2.0),))
    assert solve(p) == (1, 0)
    assert [one.arch for one in diverse(p, 9, share=0.0)] == [(1, 0), (0, 1)]
