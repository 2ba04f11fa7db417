"""The architecture side of a search: logits, their optimiser, multipliers, and what was met on the way."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nascc.nas.core.cost import Limit
from nascc.nas.core.selection import legal_columns
from nascc.nas.core.space import Arch
from nascc.nas.errors import Diverged, SearchError
from nascc.nas.search.controllers import Gains
from nascc.nas.search.effects import Effects
from nascc.nas.search.estimators import Moments, score, score_with_effects, straight_through
from nascc.nas.search.met import Met
from nascc.nas.search.preference import Additive, Preference
from nascc.nas.search.sampling import Draw, log_probabilities, sample
from nascc.nas.search.scales import Scales
from nascc.nas.search.settings import Settings
from nascc.nas.search.shares import Shares
from nascc.nas.search.swaps import MOST_SWAPS, Repaired

SCORE_SCALE = 0.1
FADE = 0.5
"""By how much the weight of the entropy falls over a search: late draws are nearer to the most likely architecture."""


class Learner:
    """Owns everything about a search but the weights.

    `sample` draws an architecture; `update` takes the loss it had. Limits that no architecture breaks should be left
    out: they are steered to like any other. All state is in `state_dict`; randomness comes with the generator.
    """

    def __init__(
        self,
        choices: Sequence[int],
        limits: Sequence[Limit],
        settings: Settings,
        generator: torch.Generator | None = None,
    ) -> None:
        self.choices, self.limits, self.settings = tuple(choices), tuple(limits), settings
        self.legal = legal_columns(self.choices)
        noise = torch.randn(self.legal.shape, generator=generator, dtype=torch.float64)
        self.alpha = (1e-3 * noise * self.legal).requires_grad_()
        self._adam = torch.optim.Adam([self.alpha], settings.lr, settings.betas, weight_decay=settings.weight_decay)
        self.gains = settings.controller.start(len(self.limits))
        self.step, self._moments, self._effects = 0, Moments(), Effects(self.choices)
        self._scales = Scales(1 + len(self.limits), self.legal)
        self._shares = Shares(self.choices, self.limits)
        self._met = Met(self._shares)

    @property
    def progress(self) -> float:
        """Share of the steps that is done."""
        return min(1.0, self.step / self.settings.steps)

    @property
    def temperature(self) -> float:
        schedule = self.settings.temperature
        return schedule.at(schedule.epoch(self.progress))

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        halved = 0.5 ** math.floor(self.settings.halvings * min(self.progress, 1 - 1e-9))
        return self.settings.lr * halved * self.settings.controller.rate(self.gains, self.progress)

    def bias(self, arch: Arch, by: float) -> None:
        """Start near an architecture: add `by` to its logits."""
        with torch.no_grad():
            self.alpha[torch.arange(len(arch)), torch.tensor(arch)] += by

    def sample(self, generator: torch.Generator | None = None) -> Draw:
        """An architecture with its coefficients; the same state and generator give the same one."""
        return sample(self.alpha, self.legal, self.temperature, generator, self.settings.noise_on)

    def update(self, draw: Draw, loss: float, gradient: Tensor | None = None) -> None:
        """Learn from the loss of a draw; `st` also needs d loss / d coefficients, [S, C].

        Raises Diverged when the loss is no number; nothing has changed then.
        """
        if not math.isfinite(loss) or (gradient is not None and not bool(gradient.isfinite().all())):
            raise Diverged(
                f"the loss of the search must be a finite number, got {loss} or its gradient; lower the rate"
            )
        direction = self._task(draw, loss, gradient) + self._costs(draw) + self._certainty()
        rate = self.lr
        for group in self._adam.param_groups:
            group["lr"] = rate
        self.alpha.grad = direction
        self._adam.step()
        self._adam.zero_grad()
        self.step += 1
        self._met.try_(draw.arch, loss)
        self._observe(draw.arch, rate)

    def log_probabilities(self) -> Tensor:
        """Log P, [S, C], without a gradient; minus infinity where there is no operator."""
        return log_probabilities(self.alpha.detach(), self.legal)

    def probabilities(self) -> Tensor:
        """P, [S, C], without a gradient."""
        return self.log_probabilities().exp()

    def argmax(self) -> Arch:
        """The most likely architecture."""
        return tuple(self.log_probabilities().argmax(1).tolist())

    def preference(self) -> Preference:
        """What architectures are worth: minus their expected loss once enough were tried, else log P."""
        if self.settings.prefer == "logp" or not self._effects.known:
            return Additive(self.log_probabilities().clamp_min(-1e9).numpy())
        return self._met.preference() if self.settings.prefer == "pairs" else self._sums()

    def candidates(self, number: int = 12, most_swaps: int = MOST_SWAPS) -> list[Repaired]:
        """Distinct architectures within the limits, most preferred first, for a supernet to rank again.

        Raises BudgetInfeasible when nothing keeps the limits.
        """
        preference, likely = self.preference(), self.argmax()
        if not self.limits:
            return [Repaired(likely, likely, 1.0, preference.worth(likely), True)]
        return self._met.candidates(likely, preference, number, most_swaps)

    def final(self) -> Repaired:
        """The architecture found. Raises BudgetInfeasible."""
        return self.candidates()[0]

    def journal(self) -> dict[str, float]:
        """What a plot of the search shows, of the state after the last step."""
        log_p = self.log_probabilities()
        entropy = -(log_p.exp() * log_p.masked_fill(~self.legal, 0)).sum(1).mean()
        values = {"loss": self._moments.mean, "temperature": self.temperature, "alpha_lr": self.lr}
        values |= {"entropy": float(entropy), "candidates": float(len(self._met))}
        arch, lambdas = self.argmax(), self.settings.controller.multipliers(self.gains)
        for limit, value in zip(self.limits, lambdas, strict=True):
            metric = limit.cost.metric
            values |= {metric: limit.cost(arch), f"{metric}_limit": limit.at_most, f"lambda_{metric}": value}
        return values

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers; with equal settings and limits, loading it goes on bit for bit."""
        return {
            "step": self.step,
            "alpha": self.alpha.detach().clone(),
            "adam": self._adam.state_dict(),
            "gains": self.gains.state_dict(),
            "moments": self._moments.state_dict(),
            "effects": self._effects.state_dict(),
            "scales": self._scales.state_dict(),
            "met": self._met.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        with torch.no_grad():
            self.alpha.copy_(state["alpha"])
        self.step, self._moments = int(state["step"]), Moments(**state["moments"])
        self.gains = Gains.load(state["gains"])
        self._adam.load_state_dict(state["adam"])
        self._effects.load_state_dict(state["effects"])
        self._scales.load_state_dict(state["scales"])
        self._met.load_state_dict(state["met"])

    def _task(self, draw: Draw, loss: float, gradient: Tensor | None) -> Tensor:
        """d task loss / d alpha, [S, C]."""
        moments, self._moments = self._moments, self._moments.add(loss)
        if self.settings.estimator == "st":
            self._effects.add(draw.arch, loss)
            return self._straight(draw, gradient)
        if self.settings.baseline == "mean":
            self._effects.add(draw.arch, loss)
            return score(self.alpha, draw, loss, moments, SCORE_SCALE)
        residual = loss - self._effects.predict(draw.arch)
        found = score_with_effects(self.alpha, draw, residual, self._effects, moments.deviation, SCORE_SCALE)
        self._effects.add(draw.arch, loss)
        return found

    def _straight(self, draw: Draw, gradient: Tensor | None) -> Tensor:
        if gradient is None:
            raise SearchError("the estimator 'st' must be given d loss / d coefficients; pass it, or use 'score'")
        gradient = gradient.detach().cpu().to(torch.float64)
        self._scales.add(0, gradient)
        unit = self._scales.unit(0) if self.settings.controller.normalised else 1.0
        return straight_through(self.alpha, draw, gradient / unit)

    def _costs(self, draw: Draw) -> Tensor:
        """d (sum of multiplier * cost) / d alpha, [S, C]: through the draw for `st`, through P for `score`."""
        straight, total = self.settings.estimator == "st", torch.zeros_like(self.alpha)
        point = draw.coefficients if straight else log_probabilities(self.alpha, self.legal).exp()
        multipliers = self.settings.controller.multipliers(self.gains)
        for position, (limit, multiplier) in enumerate(zip(self.limits, multipliers, strict=True), start=1):
            leaf = point.detach().requires_grad_()
            (slope,) = torch.autograd.grad(limit.cost.soft(leaf), leaf)
            self._scales.add(position, slope)
            if self.settings.controller.normalised:
                weight = multiplier * (1.0 if straight else SCORE_SCALE) / self._scales.unit(position)
            else:
                weight = multiplier / limit.at_most
            total = total + weight * slope
        (found,) = torch.autograd.grad(point, self.alpha, total, retain_graph=True)
        return found

    def _sums(self) -> Preference:
        """Minus the running estimate of each operator's effect on the loss."""
        return Additive(-self._effects.rows().numpy())

    def _certainty(self) -> Tensor:
        """d (-entropy) / d alpha, [S, C], weighted: keeps the logits from growing without bound."""
        settings = self.settings
        if not settings.controller.normalised or settings.entropy == 0:
            return torch.zeros_like(self.alpha)
        log_p = self.log_probabilities()
        p, finite = log_p.exp(), log_p.masked_fill(~self.legal, 0)
        weight = settings.entropy * (1 - FADE * self.progress) * (1.0 if settings.estimator == "st" else SCORE_SCALE)
        found: Tensor = weight * p * (finite - (p * finite).sum(1, keepdim=True))
        return found

    def _observe(self, sampled: Arch, rate: float) -> None:
        """Move the multipliers, and keep what was met within the limits."""
        controller, likely = self.settings.controller, self.argmax()
        errors = [share - controller.aim for share in self._shares.each(likely)]
        if controller.normalised:
            spreads = [self._scales.spread(1 + i) for i in range(len(self.limits))]
            errors = [e * limit.at_most / s for e, limit, s in zip(errors, self.limits, spreads, strict=True)]
        self.gains = controller.observe(self.gains, errors, rate)
        if self.limits and self.progress > self.settings.settled:
            self._met.observe(likely, sampled, lambda arch: self._sums().worth(arch))
