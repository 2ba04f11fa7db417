"""Random modules through MergeBranches and CollapseLinear: whatever a cost makes of them, they stay exact."""

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from kit import ir, outputs, relative_error
from nascc.passes import (
    CollapseLinear,
    EliminateIdentities,
    EvaluateConstants,
    FoldBatchNorm,
    MergeBranches,
    Pass,
    check_graph,
    run_pass,
    run_pipeline,
)
from nascc.passes import graph as g
from random_modules import modules, random_cost

RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck))
Case = tuple[nn.Module, Tensor]


def check(case: Case, passes: tuple[Pass, ...], dynamic_batch: bool) -> None:
    """Both passes keep the outputs, leave a sound graph, and find nothing left to do."""
    model, x = case
    gm = ir(model, x, dynamic=({0: torch.export.Dim("N")},) if dynamic_batch else None)
    run_pipeline((EvaluateConstants(), EliminateIdentities(), FoldBatchNorm()), gm)
    before = g.copy_graph(gm)
    run_pipeline(passes, gm)
    check_graph(gm)
    for batch in (x, torch.cat([x, -x, x])) if dynamic_batch else (x,):
        assert relative_error(outputs(before, [batch]), outputs(gm, [batch])) <= 1e-10, model
    assert not any(run_pass(p, gm) for p in passes), model


def linear(**options: Any) -> tuple[Pass, ...]:
    return (MergeBranches(**options), CollapseLinear(**options))


@settings(RELAXED, max_examples=25)
@given(modules(), st.booleans(), st.sampled_from(["always", "auto"]), st.integers(0, 9))
def test_random_modules(case: Case, dynamic_batch: bool, mode: str, seed: int) -> None:
    check(case, linear(mode=mode, cost=random_cost(seed)), dynamic_batch)


@pytest.mark.slow
@settings(RELAXED, max_examples=2000)
@given(modules(), st.booleans())
def test_random_modules_always(case: Case, dynamic_batch: bool) -> None:
    check(case, linear(mode="always"), dynamic_batch)


@pytest.mark.slow
@settings(RELAXED, max_examples=2000)
@given(modules(), st.booleans(), st.integers(0, 999))
def test_random_modules_by_random_costs(case: Case, dynamic_batch: bool, seed: int) -> None:
    check(case, linear(cost=random_cost(seed)), dynamic_batch)


@pytest.mark.slow
@settings(RELAXED, max_examples=1000)
@given(modules(), st.booleans())
def test_random_modules_by_operations(case: Case, dynamic_batch: bool) -> None:
    check(case, linear(), dynamic_batch)
