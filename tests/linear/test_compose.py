"""Two operators in a row against PyTorch running them in a row."""

from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from linear.strategies import Case, check, errors, operators, random
from nascc.passes.linear.compose import Repair, compose
from nascc.passes.linear.operator import Refusal

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@st.composite
def rows(draw: Any, length: int) -> tuple[tuple[int, ...], int, list[Case]]:
    """(size, input channels, operators that follow each other)."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    size = tuple(draw(st.integers(1, 7 if rank < 3 else 4)) for _ in range(rank))
    c, now, cases = draw(st.sampled_from([1, 2, 4, 6])), size, []
    start = c
    for _ in range(length):
        case = draw(operators(rank, c, now))
        cases.append(case)
        c, now = case.op.c_out, case.op.out_size(now)
    return size, start, cases


def compose_all(size: tuple[int, ...], start: int, cases: list[Case], repair: Repair) -> None:
    x = random((2, start, *size), seed=1)
    expected, op = cases[0].run(x), cases[0].op
    check(op, x, expected, 1e-12)
    for case in cases[1:]:
        expected = case.run(expected)
        together = compose(case.op, op, size, repair)
        if isinstance(together, Refusal):
            event(f"refused: {together.reason[:60]}")
            return
        found = errors(together, x, expected)
        assert all(e <= 1e-10 for e in found.values()), (cases, found)
        event(f"exact with {sorted(found)}")
        op = together


@given(rows(1))
@settings(max_examples=150, deadline=None, suppress_health_check=QUIET)
def test_operator_is_what_pytorch_computes(row: tuple[tuple[int, ...], int, list[Case]]) -> None:
    compose_all(*row, repair=Repair.NONE)


@given(rows(2), st.sampled_from(Repair))
@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
def test_pairs(row: tuple[tuple[int, ...], int, list[Case]], repair: Repair) -> None:
    compose_all(*row, repair=repair)


@pytest.mark.slow
@given(rows(2), st.sampled_from(Repair))
@settings(max_examples=6000, deadline=None, suppress_health_check=QUIET)
def test_many_pairs(row: tuple[tuple[int, ...], int, list[Case]], repair: Repair) -> None:
    compose_all(*row, repair=repair)


@pytest.mark.slow
@given(rows(4), st.sampled_from(Repair))
@settings(max_examples=3000, deadline=None, suppress_health_check=QUIET)
def test_many_chains(row: tuple[tuple[int, ...], int, list[Case]], repair: Repair) -> None:
    compose_all(*row, repair=repair)
