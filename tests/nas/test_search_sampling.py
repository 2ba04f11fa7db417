"""The sampler: which law it draws by, exact coefficients, the gradient behind them, and drawing without replacement."""

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from nascc.nas.core.selection import legal_columns
from nascc.nas.search import NoiseOn, ranking, sample, sandwich
from nascc.nas.search.sampling import gumbel, keys

CHOICES = (7, 1, 3, 2)
LEGAL = legal_columns(CHOICES)
ALPHA = torch.randn(4, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
DRAWS = 20_000


def counts_of(alpha: Tensor, noise_on: NoiseOn) -> Tensor:
    """How often each operator of each slot is drawn, [S, C], by the very noise that `sample` adds."""
    generator = torch.Generator().manual_seed(1)
    key = keys(alpha, LEGAL, noise_on)
    chosen = (key[None] + gumbel(key.expand(DRAWS, -1, -1), generator)).argmax(-1)
    return torch.stack([(chosen == column).sum(0) for column in range(7)], dim=1).double()


def chi_squared(counts: Tensor, expected: Tensor) -> float:
    legal = LEGAL & (expected < 1)
    return float((((counts / DRAWS - expected) ** 2 / expected)[legal]).sum() * DRAWS)


@pytest.mark.parametrize("noise_on", ["logp", "p"])
def test_law_of_the_draws(noise_on: NoiseOn) -> None:
    p = ALPHA.masked_fill(~LEGAL, -torch.inf).softmax(1)
    law = p if noise_on == "logp" else p.masked_fill(~LEGAL, -torch.inf).softmax(1)
    threshold = chi2.ppf(0.999, df=sum(n - 1 for n in CHOICES))
    assert chi_squared(counts_of(ALPHA, noise_on), law) < threshold


def test_noise_on_p_hardly_ever_follows_p() -> None:
    sure = torch.zeros(4, 7, dtype=torch.float64)
    sure[0, 0] = 50
    assert counts_of(sure, "logp")[0, 0] == DRAWS
    assert float(counts_of(sure, "p")[0, 0]) / DRAWS == pytest.approx(torch.e / (torch.e + 6), abs=0.015)


@pytest.mark.parametrize("temperature", [5.0, 0.3, 1e-3])
def test_coefficients_are_exact_and_have_the_gradient_of_the_softmax(temperature: float) -> None:
    alpha = ALPHA.clone().requires_grad_()
    weights = torch.randn(4, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    draw = sample(alpha, LEGAL, temperature, torch.Generator().manual_seed(3))
    (found,) = torch.autograd.grad((draw.coefficients * weights).sum(), alpha)

    key = keys(alpha, LEGAL)
    soft = ((key + gumbel(key, torch.Generator().manual_seed(3))) / temperature).softmax(1)
    (expected,) = torch.autograd.grad((soft * weights).sum(), alpha)
    assert draw.coefficients.unique().tolist() == [0, 1]
    assert draw.coefficients.argmax(1).tolist() == list(draw.arch)
    assert draw.coefficients.sum(1).tolist() == [1] * 4
    assert torch.equal(found, expected)
    assert not found[~LEGAL].any()


def test_log_probability_is_that_of_the_architecture() -> None:
    draw = sample(ALPHA, LEGAL, 1.0, torch.Generator().manual_seed(4))
    log_p = ALPHA.masked_fill(~LEGAL, -torch.inf).log_softmax(1)
    assert float(draw.log_probability) == pytest.approx(float(log_p[torch.arange(4), list(draw.arch)].sum()))


def test_ranking_ends_with_what_is_no_operator() -> None:
    order = ranking(ALPHA, LEGAL, torch.Generator().manual_seed(5))
    assert order.sort(1).values.tolist() == [list(range(7))] * 4
    assert all(set(row[:n].tolist()) == set(range(n)) for row, n in zip(order, CHOICES, strict=True))


def test_sandwich_differs_wherever_it_can() -> None:
    generator = torch.Generator().manual_seed(6)
    triples = [sandwich(ALPHA, LEGAL, generator) for _ in range(200)]
    for slot, number in enumerate(CHOICES):
        chosen = [{arch[slot] for arch in triple} for triple in triples]
        assert all(len(some) == min(3, number) for some in chosen)
    middle = {triple[1][0] for triple in triples}
    assert middle == set(range(7))


def test_sandwich_visits_rare_operators() -> None:
    """DW-NAS: the share of the rarest operator, where one path at p = .9 hardly ever meets it."""
    alpha = torch.zeros(1, 12, dtype=torch.float64)
    alpha[0, 0] = torch.log(torch.tensor(0.9 / (0.1 / 11)))
    generator, visits = torch.Generator().manual_seed(7), torch.zeros(12)
    for _ in range(2000):
        for arch in sandwich(alpha, legal_columns((12,)), generator):
            visits[arch[0]] += 1
    assert visits.max() / visits.min() < 8
