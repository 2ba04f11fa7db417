"""The integer program: against brute force, every constraint, many solutions, repair, uniform draws."""

import itertools
import random
from collections import Counter

import numpy as np
import pytest

from nascc.nas.core import Arch
from nascc.nas.errors import BudgetInfeasible, SearchError
from nascc.nas.program import Budgeted, Program, Solver, diverse, generate, repaired, solve, uniform_under
from nascc.nas.program.instance import Table
from nascc.nas.program.repair import improved


def table(draw: np.random.Generator, sizes: tuple[int, ...], low: float = 0.0) -> Table:
    return tuple(tuple(map(float, draw.uniform(low, 1, size))) for size in sizes)


def program(seed: int, sizes: tuple[int, ...] = (4, 3, 5, 4, 2), budgets: int = 1, share: float = 0.5) -> Program:
    """Random scores, some of them negative, and budgets between the cheapest and the dearest choice."""
    draw = np.random.default_rng(seed)
    found = []
    for k in range(budgets):
        costs = table(draw, sizes)
        least, most = sum(map(min, costs)), sum(map(max, costs))
        found.append(Budgeted(f"cost{k}", costs, 0.25 + least + share * (most - least), 0.25))
    return Program(table(draw, sizes, -0.2), tuple(found))


def every(p: Program) -> list[Arch]:
    return [arch for arch in itertools.product(*map(range, p.sizes)) if p.keeps(arch)]


@pytest.mark.parametrize("budgets", [0, 1, 3])
@pytest.mark.parametrize("seed", range(8))
def test_the_best_is_that_of_brute_force(seed: int, budgets: int) -> None:
    p = program(seed, budgets=budgets, share=0.6)
    best = min(map(p.objective, every(p)))
    found = solve(p)
    assert found is not None and p.keeps(found)
    assert p.objective(found) == pytest.approx(best, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_solutions_differ_and_each_is_the_best_that_is_left(seed: int) -> None:
    p = program(seed, (4, 4, 4, 4, 1), share=0.5)
    found = diverse(p, 6)
    most = int(0.7 * 4)  # the last layer has nothing to choose and does not count
    assert len(found) == 6
    for k, one in enumerate(found):
        before = [other.arch for other in found[:k]]
        left = [a for a in every(p) if all(p.overlap(a, other) <= most for other in before)]
        assert one.arch in left
        assert one.objective == pytest.approx(min(map(p.objective, left)), rel=1e-9, abs=1e-12)
    objectives = [one.objective for one in found]
    assert objectives == sorted(objectives)


def test_fewer_come_back_where_no_more_exist() -> None:
    p = Program(((0.0, 1.0), (0.0, 1.0)))
    assert [one.arch for one in diverse(p, 10, share=0.0)] == [(0, 0), (1, 1)]
    assert [one.arch for one in diverse(Program(((0.5,), (0.5,))), 10)] == [(0, 0)]


def test_layers_without_a_choice_do_not_count_in_overlaps() -> None:
    p = Program(((0.0,), (0.0, 1.0), (0.0, 1.0, 2.0)))
    assert p.free == (1, 2)
    assert p.overlap((0, 0, 0), (0, 0, 1)) == 1


def test_constants_are_part_of_the_budget() -> None:
    costs = ((3.0, 1.0), (3.0, 1.0))
    scores = ((0.0, 1.0), (0.0, 1.0))
    assert solve(Program(scores, (Budgeted("latency", costs, 6.0),))) == (0, 0)
    dearer = solve(Program(scores, (Budgeted("latency", costs, 6.0, constant=2.0),)))
    assert dearer in ((0, 1), (1, 0))


def test_budgets_that_can_not_be_kept_say_what_can() -> None:
    costs = ((3.0, 1.0), (3.0, 1.0))
    with pytest.raises(BudgetInfeasible, match="latency must be within 2.5 and 6.5, got 2.4") as caught:
        solve(Program(costs, (Budgeted("latency", costs, 2.4, 0.5),)))
    assert caught.value.exit_code == 6
    one, other = ((0.0, 2.0), (0.0, 2.0)), ((2.0, 0.0), (2.0, 0.0))
    with pytest.raises(BudgetInfeasible, match="no choice keeps all budgets together"):
        solve(Program(one, (Budgeted("a", one, 1.0), Budgeted("b", other, 1.0))))


def test_tables_must_fit_each_other() -> None:
    with pytest.raises(SearchError, match="costs of 'latency' must be of"):
        Program(((0.0, 1.0),), (Budgeted("latency", ((1.0,),), 1.0),))
    with pytest.raises(SearchError, match="an operator to choose"):
        Program(((0.0,), ()))
    with pytest.raises(SearchError, match="finite"):
        Program(((0.0, float("nan")),))


@pytest.mark.parametrize("seed", range(6))
def test_repair_keeps_every_constraint_and_improvement_keeps_them_kept(seed: int) -> None:
    p = program(seed, (6,) * 8, budgets=2, share=0.4)
    others = [one.arch for one in diverse(p, 3)]
    overlap = int(0.7 * 8)
    worst = tuple(int(np.argmax(row)) for row in p.budgets[0].costs)
    found = repaired(p, worst, others=others, overlap=overlap)
    assert found is not None
    better = improved(p, found, others=others, overlap=overlap)
    for arch in (found, better):
        assert p.keeps(arch) and all(p.overlap(arch, other) <= overlap for other in others)
    assert p.objective(better) <= p.objective(found)


def test_the_papers_size() -> None:
    p = generate(3)
    assert len(p.sizes) == 46 and p.offsets[-1] > 1000
    found = diverse(p, 12)
    assert len(found) == 12
    for k, one in enumerate(found):
        assert p.keeps(one.arch)
        assert all(p.overlap(one.arch, other.arch) <= 32 for other in found[:k])
        assert found[0].objective * (1 - 1e-9) <= one.objective <= 1.5 * found[0].objective
    assert diverse(generate(3), 12) == found


def test_nothing_is_lost_by_leaving_variables_out() -> None:
    """The first solve proves the optimum: no other solver finds better."""
    p = generate(5, layers=12, operators=40, prefiltered=False)
    found = solve(p)
    assert found is not None
    slack = [Solver(gap=0.0, nodes=100_000), Solver(gap=0.3, nodes=1)]
    exact, rough = (solve(p, solver) for solver in slack)
    assert exact is not None and rough is not None
    assert p.objective(found) == pytest.approx(p.objective(exact), rel=1e-9)
    assert p.objective(rough) <= 1.5 * p.objective(exact)


def test_nothing_is_said_on_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    diverse(program(1), 3)
    assert capfd.readouterr().out == ""


def test_random_choices_are_uniform_under_the_budget() -> None:
    p = program(2, (3, 3, 2), share=0.4)
    legal = every(p)
    draw = random.Random(0)
    counts = Counter(uniform_under(p, 1, draw)[0] for _ in range(60 * len(legal)))
    assert set(counts) == set(legal)
    assert all(30 < count < 100 for count in counts.values())


def test_random_choices_are_found_under_the_tightest_budget() -> None:
    p = program(4, (12,) * 20, share=0.001)
    found = uniform_under(p, 5, random.Random(1))
    assert found and all(map(p.keeps, found)) and len(set(found)) == len(found)


def test_random_choices_keep_several_budgets_or_none() -> None:
    two, free = program(0, budgets=2, share=0.6), program(0, budgets=0)
    assert all(map(two.keeps, uniform_under(two, 10, random.Random(0))))
    assert len(uniform_under(free, 10, random.Random(0))) == 10
