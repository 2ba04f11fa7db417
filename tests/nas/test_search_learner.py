"""The learner on oracles: floors that every search must reach, controllers, resuming, and what it refuses."""

from dataclasses import replace
from io import BytesIO

import pytest
import torch

from nascc.nas.core import Limit
from nascc.nas.errors import Diverged, NotDifferentiable, SearchError
from nascc.nas.search import (
    Damped,
    Estimator,
    Fixed,
    Gains,
    Learner,
    Oracle,
    Published,
    Settings,
    SyntheticCost,
    Temperature,
)

ROWS = [[1.0, 2.0, 4.0], [3.0], [0.5, 2.5], [2.0, 6.0, 1.0]]
UTILITY = [[0.0, 0.5, 0.8], [0.0], [0.0, 1.0], [0.4, 1.0, 0.0]]
CHOICES = (3, 1, 2, 3)


def learner(estimator: Estimator = "score", steps: int = 200, scale: float = 1.0, **settings: object) -> Learner:
    cost = SyntheticCost([[scale * x for x in row] for row in ROWS])
    options = Settings(steps, estimator=estimator, **settings)  # type: ignore[arg-type]
    return Learner(CHOICES, [Limit(cost, 10.0 * scale)], options, torch.Generator().manual_seed(0))


def run(found: Learner, first: int, last: int, oracle_scale: float = 1.0) -> None:
    """Steps whose randomness is a function of the step, as everywhere."""
    oracle = Oracle([[oracle_scale * x for x in row] for row in UTILITY])
    for step in range(first, last):
        draw = found.sample(torch.Generator().manual_seed(step))
        leaf = draw.coefficients.detach().requires_grad_()
        loss = oracle.loss(leaf)
        found.update(draw, loss.item(), *torch.autograd.grad(loss, leaf))


@pytest.mark.parametrize("estimator", ["st", "score"])
def test_resumes_bit_for_bit(estimator: Estimator) -> None:
    whole = learner(estimator)
    run(whole, 0, 200)
    half = learner(estimator)
    run(half, 0, 130)
    file = BytesIO()
    torch.save(half.state_dict(), file)
    file.seek(0)
    other = learner(estimator)
    other.load_state_dict(torch.load(file, weights_only=True))
    run(other, 130, 200)
    assert torch.equal(whole.alpha, other.alpha)
    assert whole.journal() == other.journal()
    assert whole.candidates() == other.candidates()


@pytest.mark.parametrize("estimator", ["st", "score"])
def test_scales_of_cost_and_loss_change_nothing(estimator: Estimator) -> None:
    """Powers of two: milliseconds or millions of multiplications, small losses or large ones."""
    plain, scaled = learner(estimator), learner(estimator, scale=2.0**20)
    run(plain, 0, 200)
    run(scaled, 0, 200, oracle_scale=2.0**-10)
    assert torch.allclose(plain.probabilities(), scaled.probabilities(), atol=1e-6)
    assert plain.final().arch == scaled.final().arch


def test_journal_tells_what_is_plotted() -> None:
    found = learner()
    run(found, 0, 5)
    names = {"loss", "temperature", "alpha_lr", "entropy", "candidates", "latency", "latency_limit", "lambda_latency"}
    assert set(found.journal()) == names
    assert found.journal()["latency"] == found.limits[0].cost(found.argmax())


def test_temperature_follows_the_sheet() -> None:
    paper = Temperature(floor=0.0)
    assert paper.at(10) == 5.0
    assert paper.at(89) == pytest.approx(1.9e-3, rel=0.03)
    assert Temperature().at(89) == 0.3
    assert Temperature().epoch(0.5) == 50


def test_straight_through_needs_a_gradient() -> None:
    found = learner("st")
    with pytest.raises(SearchError, match="must be given d loss / d coefficients"):
        found.update(found.sample(), 1.0)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_changes_nothing(loss: float) -> None:
    found = learner()
    run(found, 0, 3)
    before = found.alpha.detach().clone()
    with pytest.raises(Diverged, match="must be a finite number"):
        found.update(found.sample(), loss)
    assert torch.equal(found.alpha, before)
    assert found.step == 3


def test_a_cost_without_gradient_is_refused() -> None:
    class Opaque(SyntheticCost):
        def soft(self, coefficients: torch.Tensor) -> torch.Tensor:
            raise NotDifferentiable("latency must be differentiable here, and is not")

    found = Learner(CHOICES, [Limit(Opaque(ROWS), 10.0)], Settings(5))
    with pytest.raises(NotDifferentiable):
        found.update(found.sample(), 1.0)


def test_without_limits_the_best_is_found() -> None:
    found = Learner(CHOICES, [], Settings(300), torch.Generator().manual_seed(0))
    run(found, 0, 300)
    assert found.final().arch == (2, 0, 1, 1)


def test_several_limits_hold_and_one_is_used() -> None:
    latency, macs = (
        SyntheticCost(ROWS),
        SyntheticCost([[2.0, 1.0, 3.0], [1.0], [1.0, 1.5], [1.0, 2.0, 4.0]], metric="macs"),
    )
    limits = [Limit(latency, 9.6), Limit(macs, 7.6)]
    found = Learner(CHOICES, limits, Settings(300), torch.Generator().manual_seed(0))
    run(found, 0, 300)
    chosen = found.final()
    assert all(limit.holds(chosen.arch) for limit in limits)
    assert chosen.within
    assert {"lambda_latency", "lambda_macs"} < set(found.journal())


def test_damped_integrates_without_truncation_and_damps() -> None:
    rule, gains = Damped(kp=3.0, eta=2.0), Gains.start(1)
    gains = rule.observe(rule.observe(gains, [-0.5], 0.1), [0.25], 0.1)
    assert gains.integral == pytest.approx((-0.1 + 0.05,))
    assert rule.multipliers(gains) == pytest.approx((-0.05 + 0.75,))


def test_only_the_limit_nearest_to_breaking_may_pull_up() -> None:
    rule = Damped(kp=0.0, eta=1.0)
    gains = rule.observe(Gains.start(2), [-0.5, -0.1], 1.0)
    assert rule.multipliers(gains) == (0.0, -0.1)


def test_published_is_the_plain_integral_and_its_options_are_the_released_code() -> None:
    gains = Published(eta=1.0).observe(Gains((-1.0,), (0.0,)), [0.25], 0.1)
    assert gains.integral == (-0.75,)
    assert Published(eta=1.0, truncate=True).observe(Gains((-1.0,), (0.0,)), [0.25], 0.1).integral == (0.0,)
    parked = Published(park=True).observe(Gains.start(1), [0.005], 0.1)
    assert Published(park=True).rate(parked, 0.95) == 0.005
    assert Published(park=True).rate(parked, 0.5) == Published().rate(parked, 0.95) == 1.0


def test_fixed_never_moves() -> None:
    rule = Fixed(0.7)
    assert rule.multipliers(rule.observe(rule.start(2), [5.0, -1.0], 0.1)) == (0.7, 0.7)


def test_settings_refuse_nonsense() -> None:
    with pytest.raises(SearchError, match="positive learning rate"):
        replace(Settings(5), lr=0.0)
    with pytest.raises(SearchError, match="below `epochs`"):
        Temperature(hold=90)
