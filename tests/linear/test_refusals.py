"""A refused border is really wrong without its guard, not just unproved."""

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from linear.strategies import Case, convolutions, errors, random, transposed
from nascc.passes.linear import border
from nascc.passes.linear.compose import Repair, compose
from nascc.passes.linear.operator import Operator, Refusal


@st.composite
def pairs(draw: Any) -> tuple[int, Case, Case]:
    """(size, first, second) in one dimension, where no output lies in another dimension's padding."""
    n = draw(st.integers(1, 9))
    first = draw(st.one_of(convolutions(1, 2), transposed(1, 2)))
    second = draw(st.one_of(convolutions(1, first.op.c_out), transposed(1, first.op.c_out)))
    sizes = [first.op.out_size((n,))[0] or 0]
    sizes.append(second.op.out_size((sizes[0],))[0] or 0)
    assume(min(sizes) > 0)
    return n, first, second


def check_refusal(n: int, first: Case, second: Case) -> None:
    found = compose(second.op, first.op, (n,), Repair.ONES)
    if isinstance(found, Operator) or "depends on data" not in found.reason:
        return
    with patch.object(border, "depends_on_data", return_value=False):
        naive = compose(second.op, first.op, (n,), Repair.ONES)
    if isinstance(naive, Refusal):
        return
    event("refused")
    x = random((2, 2, n), seed=1)
    assert min(errors(naive, x, second.run(first.run(x))).values()) > 1e-6


@given(pairs())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_borders_that_depend_on_data(pair: tuple[int, Case, Case]) -> None:
    check_refusal(*pair)


@pytest.mark.slow
@given(pairs())
@settings(max_examples=5000, deadline=None, suppress_health_check=list(HealthCheck))
def test_many_borders_that_depend_on_data(pair: tuple[int, Case, Case]) -> None:
    check_refusal(*pair)
