"""What a search learns of operators and of pairs of them, from the losses it met."""

import itertools
import random

import numpy as np
import pytest

from nascc.nas.core import Arch
from nascc.nas.search import Oracle
from nascc.nas.search.oracle import padded
from nascc.nas.search.preference import Additive, Pairwise, Preference
from nascc.nas.search.surrogate import fit_pairs

CHOICES = (3, 4, 2, 4)
ARCHS: list[Arch] = list(itertools.product(*map(range, CHOICES)))


def oracle(pairs: float, seed: int = 0) -> Oracle:
    rng = np.random.default_rng(seed)
    rows = [rng.normal(size=n).tolist() for n in CHOICES]
    terms = {(s, t): (pairs * rng.normal(size=(CHOICES[s], CHOICES[t]))).tolist() for s, t in ((0, 1), (1, 3), (2, 3))}
    return Oracle(rows, terms)


def as_preference(truth: Oracle) -> Pairwise:
    pairs = np.zeros((4, 4, 4, 4))
    for (s, t), matrix in truth.pairs.items():
        half = 0.5 * matrix.numpy()
        pairs[s, : half.shape[0], t, : half.shape[1]] = half
        pairs[t, : half.shape[1], s, : half.shape[0]] = half.T
    return Pairwise(padded(truth.rows).numpy(), pairs)


def correlation(preference: Preference, truth: Oracle) -> float:
    return float(np.corrcoef([preference.worth(a) for a in ARCHS], [truth(a) for a in ARCHS])[0, 1])


@pytest.mark.parametrize("pairs", [0.0, 0.7])
def test_neighbours_are_what_each_swap_is_worth(pairs: float) -> None:
    truth = oracle(pairs)
    preferences: list[Preference] = [as_preference(truth)]
    preferences += [Additive(padded(truth.rows).numpy())] if pairs == 0 else []
    for preference in preferences:
        for arch in random.Random(0).sample(ARCHS, 5):
            assert preference.worth(arch) == pytest.approx(truth(arch), rel=1e-12)
            around = preference.neighbours(arch)
            for slot, number in enumerate(CHOICES):
                for index in range(number):
                    swapped = (*arch[:slot], index, *arch[slot + 1 :])
                    assert around[slot, index] == pytest.approx(truth(swapped), rel=1e-12)


def test_losses_without_noise_are_learnt_from_a_part_of_the_space() -> None:
    truth = oracle(0.7)
    tried = random.Random(1).sample(ARCHS, 70)
    found = fit_pairs(tried, [-truth(a) for a in tried], CHOICES)
    assert correlation(found, truth) > 0.99


@pytest.mark.parametrize("pairs", [0.0, 0.7])
def test_noise_and_falling_losses_are_told_from_what_operators_do(pairs: float) -> None:
    truth, rng = oracle(pairs), np.random.default_rng(3)
    tried = random.Random(1).choices(ARCHS, k=400)
    losses = [-truth(a) + 8 * np.exp(-i / 150) + 0.5 * rng.normal() for i, a in enumerate(tried)]
    assert correlation(fit_pairs(tried, losses, CHOICES), truth) > 0.97


def test_units_do_not_matter() -> None:
    truth, tried = oracle(0.7), random.Random(1).sample(ARCHS, 60)
    losses = [-truth(a) for a in tried]
    first, second = fit_pairs(tried, losses, CHOICES), fit_pairs(tried, [1e6 * x + 5e7 for x in losses], CHOICES)
    a, b = ARCHS[3], ARCHS[80]
    assert second.worth(a) - second.worth(b) == pytest.approx(1e6 * (first.worth(a) - first.worth(b)), rel=1e-5)


def test_equal_losses_prefer_nothing() -> None:
    found = fit_pairs(ARCHS[:50], [1.5] * 50, CHOICES)
    assert np.ptp([found.worth(a) for a in ARCHS]) < 1e-9
