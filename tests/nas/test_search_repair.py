"""Repair and the exact optimum, against enumeration, with tables and with black boxes, one limit and several."""

import itertools
import random

import numpy as np
import pytest

from nascc.nas.core import Arch, Limit
from nascc.nas.errors import BudgetInfeasible, NotAdditive, SearchError
from nascc.nas.search import Oracle, Shares, SyntheticCost, optimum, repair, repairs
from nascc.nas.search.oracle import padded
from nascc.nas.search.preference import Additive, Pairwise, Preference

CHOICES = (4, 1, 3, 4, 2)


def rows(seed: int, scale: float = 1.0) -> list[list[float]]:
    rng = random.Random(seed)
    return [[scale * rng.lognormvariate(0, 0.8) for _ in range(n)] for n in CHOICES]


class BlackBox(SyntheticCost):
    """A cost that is no sum: it can only be called."""

    def __call__(self, arch: Arch) -> float:
        return super().__call__(arch) + 0.2 * (arch[0] == arch[3])

    def table(self) -> list[list[float]]:
        raise NotAdditive("a black box")


def everything() -> list[Arch]:
    return list(itertools.product(*map(range, CHOICES)))


def best(oracle: Oracle, limits: list[Limit]) -> float:
    return max(oracle(a) for a in everything() if all(limit.holds(a) for limit in limits))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fraction", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_dynamic_program_is_exact(seed: int, fraction: float) -> None:
    cost, oracle = SyntheticCost(rows(seed), 1.5), Oracle(rows(seed + 100))
    least, most = min(map(cost, everything())), max(map(cost, everything()))
    limits = [Limit(cost, least + fraction * (most - least))]
    found = optimum(oracle, limits)
    assert limits[0].holds(found)
    assert oracle(found) == pytest.approx(best(oracle, limits), rel=1e-12)


def test_pairs_and_several_limits_are_enumerated() -> None:
    oracle = Oracle(rows(1), {(0, 3): np.arange(16.0).reshape(4, 4).tolist(), (4, 2): [[1, 0, 3], [0, 2, 0]]})
    limits = [Limit(SyntheticCost(rows(2)), 7.0), Limit(SyntheticCost(rows(3, 1e6), unit="MACs"), 8e6)]
    found = optimum(oracle, limits)
    assert all(limit.holds(found) for limit in limits)
    assert oracle(found) == best(oracle, limits)


def test_optimum_refuses_what_nothing_keeps_and_what_is_too_much() -> None:
    with pytest.raises(BudgetInfeasible, match="latency <= 0.1 ms, and none does"):
        optimum(Oracle(rows(1)), [Limit(SyntheticCost(rows(2)), 0.1)])
    many = [[0.0, 1.0, 2.0]] * 20
    with pytest.raises(SearchError, match="enumerated"):
        optimum(Oracle(many), [Limit(SyntheticCost(many), 9.0)] * 2)


def kinds_of_preference(seed: int) -> tuple[Preference, Preference]:
    own = padded(rows(seed + 50)).log().nan_to_num(neginf=0).numpy()
    pairs = 0.05 * np.random.default_rng(seed).normal(size=(5, 4, 5, 4))
    pairs += pairs.transpose(2, 3, 0, 1)
    pairs[range(5), :, range(5)] = 0
    return Additive(own), Pairwise(own, pairs)


@pytest.mark.parametrize("kind", [SyntheticCost, BlackBox])
@pytest.mark.parametrize("seed", range(4))
def test_repair_finds_the_most_preferred_within_three_swaps(kind: type[SyntheticCost], seed: int) -> None:
    cost, preference = kind(rows(seed), 1.0), kinds_of_preference(seed)[seed % 2]
    for start in random.Random(seed).sample(everything(), 4):
        limit = Limit(cost, 0.8 * cost((3, 0, 2, 3, 1)) + 1)
        shares = Shares(CHOICES, [limit], at_least=0.9)
        near = [a for a in everything() if sum(x != y for x, y in zip(a, start, strict=True)) <= 3 and shares.fits(a)]
        found = repair(start, preference, shares)
        assert limit.holds(found.arch)
        if near:
            assert found.within
            assert found.swaps <= 3
            wanted = max(map(preference.worth, near))
            assert found.preference == pytest.approx(wanted, abs=1e-9 if kind is SyntheticCost else 0.8)


def test_what_is_likely_and_fits_stays() -> None:
    cost = SyntheticCost(rows(0))
    arch = (1, 0, 2, 0, 1)
    liked = np.full((5, 4), -3.0)
    liked[range(5), list(arch)] = 0
    found = repairs(arch, Additive(liked), Shares(CHOICES, [Limit(cost, cost(arch) * 1.01)]))
    assert found[0].arch == arch
    assert found[0].swaps == 0
    assert [r.preference for r in found] == sorted((r.preference for r in found), reverse=True)


def test_several_limits_hold_at_once() -> None:
    fast, small = SyntheticCost(rows(4)), SyntheticCost(rows(5, 1e6), unit="MACs")
    limits = [Limit(fast, 6.0), Limit(small, 9e6)]
    for start in ((0, 0, 0, 0, 0), (3, 0, 2, 3, 1)):
        found = repair(start, Additive(np.zeros((5, 4))), Shares(CHOICES, limits))
        assert all(limit.holds(found.arch) for limit in limits)
        assert found.within
        assert found.used == max(limit.used(found.arch) for limit in limits) >= 0.97


def test_no_architecture_below_the_limit_is_said() -> None:
    with pytest.raises(BudgetInfeasible, match="cheapest found uses"):
        repair((0, 0, 0, 0, 0), Additive(np.zeros((5, 4))), Shares(CHOICES, [Limit(SyntheticCost(rows(0), 5.0), 4.0)]))


def test_a_gap_in_the_lattice_keeps_the_limit() -> None:
    cost = SyntheticCost([[1.0, 10.0]] * 3)
    found = repair((1, 1, 1), Additive(np.zeros((3, 2))), Shares((2, 2, 2), [Limit(cost, 20.0)]))
    assert cost(found.arch) == 12
    assert not found.within
