"""Coordinate descent: budgets that are reached, several layers at once against one, and what is refused."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from nascc.nas.core import Arch
from nascc.nas.errors import BudgetInfeasible
from nascc.nas.netadapt.budget_steps import budgets, reach_of, require_reach
from nascc.nas.netadapt.descent import Adaptation, Descent, Progress, plain, restored, within
from nascc.tools.bench.netadapt_descent import INTERACTIONS, LAYERS, Cost, Levels, Objective

MCD = Descent(samples=60, layers=4, step=0.03)
SCD = Descent(samples=1, layers=1, step=0.01, single=True)


def descent(
    cost: object, score: object, settings: Descent, seed: int = 0, target: float | None = None, share: float = 0.5
) -> Adaptation:
    space = Levels()
    start = (0,) * LAYERS
    return Adaptation(
        space,
        [(k,) for k in range(LAYERS)],
        cost,  # type: ignore[arg-type]
        score,  # type: ignore[arg-type]
        settings,
        seed,
        start,
        score(start),  # type: ignore[operator]
        share * cost(start) if target is None else target,  # type: ignore[operator]
    )


@cache
def duel(strength: float, seeds: int) -> tuple[float, float, float, float]:
    """Mean scores of both ways, and how many networks each looked at; every run ends within its target."""
    rows = []
    for seed in range(seeds):
        found = []
        for settings in (MCD, SCD):
            cost, objective = Cost(seed), Objective(seed, strength)
            run = descent(cost, objective, settings, seed)
            end = run.run()[-1]
            assert end.cost == cost(end.arch) <= run.target
            found += [end.score, objective.calls]
        rows.append(found)
    multi, calls, single, others = np.array(rows).mean(0)
    return float(multi), float(single), float(calls), float(others)


@pytest.mark.parametrize("interactions", INTERACTIONS)
def test_several_layers_at_once_find_better_networks(interactions: str) -> None:
    """On average over 20 seeds, at as many evaluations; 'a win in every run' would be false."""
    multi, single, calls, others = duel(INTERACTIONS[interactions], 20)
    assert multi > single
    assert calls < 1.1 * others


def test_a_trajectory_falls_to_its_target() -> None:
    run = descent(Cost(0), Objective(0, 0.5), Descent(8, 4, 0.05))
    points = run.run()
    costs = [point.cost for point in points]
    assert costs == sorted(costs, reverse=True) and costs[-1] <= run.target
    assert [point.budget for point in points] == list(run.budgets)
    assert all(point.cost <= point.budget for point in points)
    assert all(a <= b for p, q in pairwise(points) for a, b in zip(p.arch, q.arch, strict=True))


def test_one_trajectory_answers_for_several_budgets() -> None:
    run = descent(Cost(0), Objective(0, 0.5), Descent(6, 4, 0.05), share=0.4)
    points, most = run.run(), Cost(0)((0,) * LAYERS)
    for share in (0.8, 0.6, 0.4):
        point = within(points, share * most)
        assert point is not None and point.cost <= share * most
        before = points[: points.index(point)]
        assert all(p.cost > share * most for p in before)
    assert within(points, 0.01 * most) is None


def test_a_descent_goes_on_in_the_middle_of_an_iteration() -> None:
    settings = Descent(6, 4, 0.08)
    whole = descent(Cost(1), Objective(1, 1.0), settings).run()
    run, progress = descent(Cost(1), Objective(1, 1.0), settings), Progress()
    for index in range(run.total):
        run.step(index, progress)
        if index % 5 == 0:
            progress = restored(plain(progress))
            run = descent(Cost(1), Objective(1, 1.0), settings)
    assert progress.trajectory == whole


def test_the_same_seed_finds_the_same() -> None:
    first, second, third = (
        descent(Cost(0), Objective(0, 1.0), Descent(5, 4, 0.1), seed).run()[-1].arch for seed in (3, 3, 4)
    )
    assert first == second != third


class Jump(Cost):
    """What a device may do: beyond a width everything takes half as long again, and guesses know nothing of it."""

    trusted = False

    def __call__(self, arch: Arch) -> float:
        plain = super().__call__(arch)
        return plain * (1.5 if arch[0] < 4 and arch[1] % 2 else 1.0) + (3.0 if arch[2] == 1 else 0.0)

    def guess(self, arch: Arch) -> float:
        return super().__call__(arch)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("select", ["score", "ratio"])
def test_costs_may_jump(seed: int, select: str) -> None:
    cost = Jump(seed)
    run = descent(cost, Objective(seed, 0.5), Descent(6, 4, 0.06, select=select), seed)  # type: ignore[arg-type]
    points = run.run()
    assert all(cost(p.arch) == p.cost <= p.budget for p in points) and points[-1].cost <= run.target


def test_one_layer_that_can_not_pay_alone_is_passed_over() -> None:
    """A step larger than what any layer costs: single-layer descent has no sample, and shrinks several."""
    run = descent(Cost(0), Objective(0, 0.0), Descent(1, 1, 0.3, single=True))
    assert run.run()[-1].cost <= run.target


def test_steps_that_can_not_reach_are_refused() -> None:
    assert reach_of(0.015, 0.98) == pytest.approx(0.75)
    require_reach(100, 25.0, 0.015, 0.98)
    with pytest.raises(BudgetInfeasible, match=r"at most 75% away.*set descent.step to at least 0.0152"):
        require_reach(100, 24.0, 0.015, 0.98)
    with pytest.raises(BudgetInfeasible, match="steps of"):
        descent(Cost(0), Objective(0, 0.0), Descent(2, 2, 0.005), share=0.5)


def test_a_target_below_every_network_is_refused() -> None:
    class Floor(Cost):
        def __call__(self, arch: Arch) -> float:
            return 5 + super().__call__(arch)

    cost = Floor(0)
    with pytest.raises(BudgetInfeasible, match="the smallest costs 5"):
        descent(cost, Objective(0, 0.0), Descent(3, 4, 0.2, decay=1.0), target=4.0).run()


@pytest.mark.parametrize(("share", "iterations"), [(0.5, 21), (0.3, 32)])
def test_as_many_iterations_as_the_sheet_says(share: float, iterations: int) -> None:
    found = list(budgets(1.0, share, 0.03, 0.98))
    assert len(found) == iterations
    assert found[-1] == share and found == sorted(found, reverse=True)


def test_nothing_is_to_be_done_above_the_start() -> None:
    run = descent(Cost(0), Objective(0, 0.0), Descent(3, 2, 0.1), share=1.0)
    assert run.total == 0 and run.run() == []
