"""A refused border is really wrong without its guard, not just unproved."""

from unittest.mock import patch

from hypothesis import HealthCheck, assume, given, settings
from linear.strategies import Case, errors, random
from linear.test_compose import rows

from nascc.passes.linear import border
from nascc.passes.linear.compose import Repair, compose
from nascc.passes.linear.operator import Operator, Refusal


@given(rows(2))
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
def test_borders_that_depend_on_data(row: tuple[tuple[int, ...], int, list[Case]]) -> None:
    size, c, (first, second) = row
    found = compose(second.op, first.op, size, Repair.ONES)
    assume(isinstance(found, Refusal) and "depends on data" in found.reason)
    with patch.object(border, "depends_on_data", return_value=False):
        naive = compose(second.op, first.op, size, Repair.ONES)
    assume(isinstance(naive, Operator))
    assert isinstance(naive, Operator)
    x = random((2, c, *size), seed=1)
    assert min(errors(naive, x, second.run(first.run(x))).values()) > 1e-6
