"""The estimators against exact gradients, and the running numbers they rest on."""

import itertools
import random

import pytest
import torch
from torch import Tensor

from nascc.nas.core.selection import legal_columns
from nascc.nas.search import Effects, Moments, Oracle, sample, score, score_with_effects, straight_through

CHOICES = (3, 1, 2)
LEGAL = legal_columns(CHOICES)
ORACLE = Oracle([[0.0, 1.0, 3.0], [0.5], [2.0, 0.0]], {(0, 2): [[0.0, 0.5], [1.0, 0.0], [0.0, 0.2]]})
ALPHA = torch.tensor([[0.2, -0.1, 0.4], [0.0, 0.0, 0.0], [-0.3, 0.3, 0.0]], dtype=torch.float64)


def exact(alpha: Tensor) -> Tensor:
    """d E[loss] / d alpha by enumeration."""
    alpha = alpha.clone().requires_grad_()
    p = alpha.masked_fill(~LEGAL, -torch.inf).softmax(1)
    archs = itertools.product(*map(range, CHOICES))
    expected = sum((p[range(3), list(a)].prod() * -ORACLE(a) for a in archs), start=torch.zeros(()))
    return torch.autograd.grad(expected, alpha)[0]


def mean_estimate(with_effects: bool) -> tuple[Tensor, Tensor]:
    """Mean and summed variance of the estimate for a fixed mean and deviation."""
    alpha, generator = ALPHA.clone().requires_grad_(), torch.Generator().manual_seed(0)
    moments, effects = Moments(0.5, 100, -3.0, 100.0), Effects(CHOICES)
    for index in range(60 if with_effects else 0):
        arch = tuple(random.Random(index).randrange(n) for n in CHOICES)
        effects.add(arch, -ORACLE(arch))
    found = []
    for _ in range(1500):
        draw = sample(alpha, LEGAL, 1.0, generator)
        loss = -ORACLE(draw.arch)
        if with_effects:
            residual = loss - effects.predict(draw.arch)
            found.append(score_with_effects(alpha, draw, residual, effects, moments.deviation, scale=1.0))
        else:
            found.append(score(alpha, draw, loss, moments, scale=1.0))
    many = torch.stack(found) * moments.deviation
    return many.mean(0), many.var(0).sum()


def test_scores_are_unbiased_and_effects_take_out_most_of_the_noise() -> None:
    plain, noise = mean_estimate(with_effects=False)
    better, little = mean_estimate(with_effects=True)
    assert torch.allclose(plain, exact(ALPHA), atol=0.08)
    assert torch.allclose(better, exact(ALPHA), atol=0.03)
    assert little < noise / 5


def test_score_clips_the_advantage_and_starts_at_zero() -> None:
    alpha = ALPHA.clone().requires_grad_()
    draw = sample(alpha, LEGAL, 1.0, torch.Generator().manual_seed(0))
    moments = Moments().add(1.0).add(2.0)
    assert torch.equal(score(alpha, draw, 1e9, moments), score(alpha, draw, 1e6, moments))
    assert not score(alpha, draw, 5.0, Moments()).any()
    assert score(alpha, draw, 1e9, moments).any()


def test_straight_through_passes_the_gradient_of_coefficients() -> None:
    alpha = ALPHA.clone().requires_grad_()
    draw = sample(alpha, LEGAL, 0.5, torch.Generator().manual_seed(0))
    (whole,) = torch.autograd.grad(ORACLE.loss(draw.coefficients), alpha, retain_graph=True)
    leaf = draw.coefficients.detach().requires_grad_()
    (slope,) = torch.autograd.grad(ORACLE.loss(leaf), leaf)
    assert torch.equal(
        straight_through(alpha, draw, slope.float()), straight_through(alpha, draw, slope.float().double())
    )
    assert torch.allclose(straight_through(alpha, draw, slope), whole, atol=1e-12)


def test_moments_follow_a_shift_and_a_scale() -> None:
    small, large = Moments(), Moments()
    for value in (1.0, 3.0, 2.0, 5.0, 4.0):
        small, large = small.add(value), large.add(1e6 + 10 * value)
    assert large.mean == pytest.approx(1e6 + 10 * small.mean)
    assert large.deviation == pytest.approx(10 * small.deviation, rel=0.3)


@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1e3, 1.0), (0.0, 1e-6), (-5.0, 1e6)])
def test_effects_find_what_adds_up(shift: float, scale: float) -> None:
    rows, rng, effects = [[0.0, 1.0, 5.0], [2.0], [3.0, -1.0]], random.Random(0), Effects(CHOICES)
    for _ in range(400):
        arch = tuple(rng.randrange(n) for n in CHOICES)
        effects.add(arch, shift + scale * sum(row[i] for row, i in zip(rows, arch, strict=True)))
    expected = torch.tensor([[-2.0, -1.0, 3.0], [0.0, 0.0, 0.0], [2.0, -2.0, 0.0]], dtype=torch.float64)
    assert effects.known
    assert torch.allclose(effects.rows() / scale, expected, atol=0.05)


def test_effects_are_unknown_until_there_are_enough() -> None:
    effects = Effects(CHOICES)
    for index in range(3):
        effects.add((index, 0, 0), 1.0)
    assert not effects.known
    effects.add((0, 0, 1), 1.0)
    assert effects.known
