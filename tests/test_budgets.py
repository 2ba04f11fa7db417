"""Budgets: what is read, what is refused, and which limits come out."""

import pytest
from torch import nn

from nascc.nas.core import Arch, Form, Limit, Op, Slot, Space
from nascc.nas.costs import Budget, TableCost, parse_budget, parse_budgets, resolve
from nascc.nas.costs.units import written, written_up
from nascc.nas.errors import BadBudget, BudgetInfeasible, RangeTooNarrow


class Plain(Space):
    """Three slots of three operators that nobody builds."""

    input_shape = (3, 8, 8)

    def __init__(self) -> None:
        ops = tuple(Op(name, lambda ctx: nn.Identity()) for name in "abc")
        self.slots = tuple(Slot(f"block{k}", ops) for k in range(3))

    def build(self, arch: Arch, form: Form = "train") -> nn.Module:
        raise NotImplementedError


SPACE = Plain()
LATENCY = TableCost("latency", [[1, 2, 3]] * 3, 1.0)
"""4 to 10 ms."""
MACS = TableCost("macs", [[3e6, 2e6, 1e6]] * 3, 1e6)
"""4 M to 10 M, the other way round."""
COSTS = {"latency": LATENCY, "macs": MACS}


@pytest.mark.parametrize(
    ("metric", "text", "value"),
    [
        ("latency", "12ms", 12.0),
        ("latency", "0.012s", 12.0),
        ("latency", "1.2e1 ms", 12.0),
        ("latency", "12000us", 12.0),
        ("latency", ".5ms", 0.5),
        ("macs", "600M", 600e6),
        ("macs", "1.5G", 1.5e9),
        ("macs", "600000000", 600e6),
        ("params", "4M", 4e6),
        ("energy", "500mJ", 500.0),
        ("energy", "0.5J", 500.0),
        ("bytes", "4MB", 4e6),
        ("bytes", "4MiB", 4 * 2.0**20),
    ],
)
def test_reads(metric: str, text: str, value: float) -> None:
    assert parse_budget(metric, text) == (Budget(metric, pytest.approx(value)),)


def test_reads_shares_and_lists() -> None:
    assert parse_budget("latency", "50%") == (Budget("latency", 0.5, is_share=True),)
    assert [b.value for b in parse_budget("latency", "5ms, 10ms,20ms")] == [5, 10, 20]
    found = parse_budgets({"latency": "5ms,10ms", "macs": "8M"})
    assert [[str(b) for b in budgets] for budgets in found] == [["5 ms", "8 M"], ["10 ms", "8 M"]]
    assert parse_budgets({}) == ()


@pytest.mark.parametrize(
    ("metric", "text", "reason"),
    [
        (
            "latency",
            "12",
            "must be one of ns, us, µs, ms, s, got 'none'; write it like 12ms or 50%",
        ),
        ("latency", "12MS", "did you mean 12ms?"),
        ("latency", "12kg", "got 'kg'; write it like 12ms"),
        ("latency", "fast", "must be a number with a unit, got 'fast'"),
        ("latency", "", "got ''"),
        ("latency", "5ms,", "got ''"),
        ("latency", "nan ms", "must be a number"),
        ("latency", "1e999ms", "must be above 0, got '1e999ms'"),
        ("latency", "-1ms", "must be above 0"),
        ("latency", "0%", "must be above 0"),
        ("latency", "101%", "must be at most 100%"),
        ("latency", "5ms,5000us", "must differ"),
        ("macs", "600m", "did you mean 600M?"),
        ("macs", "12ms", "the unit of macs must be one of none, k, K, M, G, T"),
        ("bytes", "4Mb", "did you mean 4MB?"),
        ("energy", "5 W", "the unit of energy must be one of"),
        ("latncy", "5ms", "try latency"),
    ],
)
def test_refuses(metric: str, text: str, reason: str) -> None:
    with pytest.raises(BadBudget) as caught:
        parse_budget(metric, text)
    assert reason in str(caught.value) and caught.value.exit_code == 2 and "\n" not in str(caught.value)


def test_refuses_all_at_once() -> None:
    with pytest.raises(BadBudget, match=r"'5'.*'x'"):
        parse_budgets({"latency": "5", "macs": "x"})
    with pytest.raises(BadBudget, match="several for latency and macs"):
        parse_budgets({"latency": "5ms,6ms", "macs": "5M,6M"})


def test_limits_are_shares_of_the_range_or_as_given() -> None:
    (half,), (given,) = parse_budget("latency", "50%"), parse_budget("latency", "6ms")
    assert resolve([half], COSTS, SPACE).limits == (Limit(LATENCY, 7.0),)
    found = resolve([given], COSTS, SPACE)
    assert found.limits == (Limit(LATENCY, 6.0),) and not found.warnings
    assert (found.reach["latency"].least, found.reach["latency"].most) == (4, 10)


def test_below_the_range_is_infeasible() -> None:
    with pytest.raises(BudgetInfeasible, match="3.9 ms .* 4 ms to 10 ms of latency; ask for at least 4 ms") as caught:
        resolve(parse_budget("latency", "3.9ms"), COSTS, SPACE)
    assert caught.value.exit_code == 6
    assert resolve(parse_budget("latency", "4ms"), COSTS, SPACE).limits[0].at_most == 4


@pytest.mark.parametrize("text", ["10ms", "1s", "100%"])
def test_above_the_range_binds_nothing(text: str) -> None:
    found = resolve(parse_budget("latency", text), COSTS, SPACE)
    assert found.limits == () and "the whole space is within the budget" in found.warnings[0]


def test_several_limits_must_hold_together() -> None:
    """Latency and macs add up to 14 in every network."""
    met = resolve(parse_budgets({"latency": "7ms", "macs": "7M"})[0], COSTS, SPACE)
    assert [limit.at_most for limit in met.limits] == [7, 7e6]
    with pytest.raises(BudgetInfeasible, match="latency <= 6 ms and macs <= 7 M together, but none does"):
        resolve(parse_budgets({"latency": "6ms", "macs": "7M"})[0], COSTS, SPACE)


def test_a_narrow_range_is_refused_with_a_shape_where_there_is_one() -> None:
    narrow = {"latency": TableCost("latency", [[1, 1.4]] * 3)}
    with pytest.raises(RangeTooNarrow, match=r"\(1.40 times\); choose a space"):
        resolve(parse_budget("latency", "50%"), narrow, SPACE)
    with pytest.raises(RangeTooNarrow, match="at --shapes 8x3x8x8 it is 3 times") as caught:
        resolve(parse_budget("latency", "3.5ms"), narrow, SPACE, lambda: "at --shapes 8x3x8x8 it is 3 times")
    assert caught.value.exit_code == 2
    assert resolve(parse_budget("latency", "5ms"), narrow, SPACE).warnings


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [(12.3456, "latency", "12.35 ms"), (604e6, "macs", "604 M"), (4.19e6, "bytes", "4.19 MB"), (12.0, "params", "12"),
     (999.0, "macs", "999"), (1e12, "macs", "1000 G"), (0.0, "macs", "0")],
)  # fmt: skip
def test_writes(value: float, metric: str, text: str) -> None:
    assert written(value, metric) == text


def test_rounds_up_what_it_tells_to_ask_for() -> None:
    assert written_up(0.23341, "latency") == "0.2335 ms" and written_up(4.0, "latency") == "4 ms"
