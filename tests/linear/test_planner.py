"""Plans of random regions compute what the region computes, and cost the least."""

from typing import Any
from zlib import crc32

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from linear.expressions import emitter, regions
from linear.strategies import random, relative
from nascc.passes.linear.cost import Cost, flops, roofline
from nascc.passes.linear.description import LinearOp
from nascc.passes.linear.emit import emit, emit_as_it_stands
from nascc.passes.linear.operator import Refusal
from nascc.passes.linear.plan import Mode, steps
from nascc.passes.linear.planner import plan
from nascc.passes.linear.region import Region, Site

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def lottery(seed: int) -> Cost:
    """A cost that makes plans take forms that no sensible cost would."""

    def cost(ops: tuple[LinearOp, ...]) -> float:
        return float(sum(crc32(f"{seed}{op}".encode()) % 1000 for op in ops))

    return cost


costs = st.one_of(st.just(flops), st.just(roofline), st.builds(lottery, st.integers(0, 9)))


def check_plan(found: Any, cost: Cost, mode: Mode) -> None:
    expression, c, size, runs = found
    x = random((2, c, *size), seed=3)
    expected = emit_as_it_stands(expression, x, emitter(runs))
    made = plan(Region(expression, Site(size, batch=2)), cost, mode)
    actual = emit(made.root, x, emitter(runs))
    assert relative(actual, expected) <= 1e-10, f"{made}"
    assert {name for s in made.segments for name in s.members} == set(runs)
    if mode is Mode.AUTO:
        assert made.cost_after <= made.cost_before * (1 + 1e-12)
    event(f"leaves: {len(runs)}")
    for segment in made.segments:
        if segment.form is not None:
            event(f"{segment.form.shape.value} {segment.fix}")
            assert not isinstance(steps(segment), Refusal), f"{made}"


@given(regions(), costs, st.sampled_from(Mode))
@settings(max_examples=120, deadline=None, suppress_health_check=QUIET)
def test_random_regions(found: Any, cost: Cost, mode: Mode) -> None:
    check_plan(found, cost, mode)


@pytest.mark.slow
@given(regions(), costs, st.sampled_from(Mode))
@settings(max_examples=5000, deadline=None, suppress_health_check=QUIET)
def test_many_random_regions(found: Any, cost: Cost, mode: Mode) -> None:
    check_plan(found, cost, mode)


def check_dynamic(found: Any, cost: Cost, mode: Mode, small: bool) -> None:
    expression, c, size, runs = found
    site = Site(size, (True,) * len(size), (1,) * len(size) if small else size)
    made = plan(Region(expression, site), cost, mode)
    for more in range(4):
        x = random((1, c, *(n + more for n in size)), seed=4)
        try:
            expected = emit_as_it_stands(expression, x, emitter(runs))
        except RuntimeError:  # pixel_unshuffle of an odd size
            continue
        assert relative(emit(made.root, x, emitter(runs)), expected) <= 1e-10, f"{made}"
    for segment in made.segments:
        if segment.form is not None:
            event(f"{segment.form.shape.value} {segment.fix}")


@given(regions(dynamic=True), costs, st.sampled_from(Mode), st.booleans())
@settings(max_examples=80, deadline=None, suppress_health_check=QUIET)
def test_random_regions_of_dynamic_size(found: Any, cost: Cost, mode: Mode, small: bool) -> None:
    check_dynamic(found, cost, mode, small)


@pytest.mark.slow
@given(regions(dynamic=True), costs, st.sampled_from(Mode), st.booleans())
@settings(max_examples=3000, deadline=None, suppress_health_check=QUIET)
def test_many_random_regions_of_dynamic_size(found: Any, cost: Cost, mode: Mode, small: bool) -> None:
    check_dynamic(found, cost, mode, small)
