"""The decisions of a superkernel net as they learn: costs, their multipliers, and what was met within the limits."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nascc.nas.core import Arch, Cost, Limit
from nascc.nas.search import Controller, Gains, Shares
from nascc.nas.search.met import Met
from nascc.nas.search.preference import Additive, Preference
from nascc.nas.search.swaps import MOST_SWAPS
from nascc.nas.supernets.indicators import Gates
from nascc.nas.supernets.superkernel_net import SuperkernelNet
from nascc.nas.supernets.superkernel_runtime import Runtime

UNLIKELY = 1e-12


class ThresholdLearner:
    """Thresholds by plain SGD; multipliers follow the cost of what is decided, whatever gradients say.

    With a controller that has a `value` (Fixed) the loss is value * log(cost), as published; else every limit counts
    with its multiplier, in units of what an average slot can change. All state but the thresholds is in `state_dict`.
    """

    def __init__(
        self, net: SuperkernelNet, limits: Sequence[Limit], cost: Cost, controller: Controller, lr: float
    ) -> None:
        self.net, self.limits, self.cost, self.controller = net, tuple(limits), cost, controller
        self.lr, self.gains = lr, controller.start(max(1, len(self.limits)))
        self._met = Met(Shares(net.space.choices, self.limits))
        self._runtime = Runtime(net, cost)
        self._runtimes = [Runtime(net, limit.cost) for limit in self.limits]

    def loss(self, gates: Sequence[Gates]) -> Tensor | None:
        """What the gates cost, weighted; None where nothing counts."""
        weights = self.controller.multipliers(self.gains)
        if not self.controller.normalised:
            return weights[0] * self._runtime(gates).log() if weights[0] else None
        if not self.limits:
            return None
        pairs = zip(weights, self._runtimes, strict=True)
        return torch.stack([weight * runtime(gates) / runtime.unit for weight, runtime in pairs]).sum()

    @torch.no_grad()
    def update(self, counts: bool) -> None:
        """Move the thresholds along their gradients, if costs count, and the multipliers after them."""
        asks = bool(self.limits) if self.controller.normalised else any(self.controller.multipliers(self.gains))
        for threshold in self.net.thresholds:
            if counts and asks and threshold.grad is not None:
                threshold.sub_(self.lr * threshold.grad)
            threshold.grad = None
        self.net.hold()
        if counts:
            self._observe(self.net.decide())

    def candidates(self, number: int) -> list[Arch]:
        """Distinct architectures within the limits, those first that are nearest to what the weights decide.

        Without limits there is one, what is decided. Raises BudgetInfeasible.
        """
        decided = self.net.decide()
        if not self.limits:
            return [decided]
        found = self._met.candidates(decided, self.preference(), number, MOST_SWAPS)
        return [repaired.arch for repaired in found if repaired.within] or [found[0].arch]

    def preference(self) -> Preference:
        """What architectures are worth: the logarithm of their chance were indicators drawn by their sigmoids."""
        return Additive(self.chances().clamp_min(UNLIKELY).log().numpy())

    @torch.no_grad()
    def chances(self) -> Tensor:
        """The chance of each operator, [S, C], in float64."""
        rows = [own.coefficients(own.gates_of(own.margins().sigmoid())) for own in self.net.superkernels]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).double()

    def journal(self) -> dict[str, Any]:
        """What a plot of the search shows, of the state after the last step."""
        arch = self.net.decide()
        values: dict[str, Any] = {self.cost.metric: self.cost(arch)}
        multipliers = self.controller.multipliers(self.gains)
        for limit, value in zip(self.limits, multipliers, strict=False):
            metric = limit.cost.metric
            values |= {metric: limit.cost(arch), f"{metric}_limit": limit.at_most, f"lambda_{metric}": value}
        return values

    @torch.no_grad()
    def shapes(self) -> dict[str, Tensor]:
        """`probabilities` [S, C] of a decision by its sigmoid, and `deviation` [S, m] of kernel weights (Fig. 6)."""
        deviation = torch.stack([own.deviation() for own in self.net.superkernels])
        return {"probabilities": self.chances(), "deviation": deviation}

    def state_dict(self) -> dict[str, Any]:
        return {"gains": self.gains.state_dict(), "met": self._met.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.gains = Gains.load(state["gains"])
        self._met.load_state_dict(state["met"])

    def _observe(self, decided: Arch) -> None:
        """Move the multipliers by the errors of what is decided, and remember it."""
        if not self.limits:
            return
        errors = [
            (limit.cost(decided) - self.controller.aim * limit.at_most) / (runtime.unit * len(decided))
            for limit, runtime in zip(self.limits, self._runtimes, strict=True)
        ]
        self.gains = self.controller.observe(self.gains, errors, self.lr)
        self._met.observe(decided, decided, lambda arch: self.preference().worth(arch))
