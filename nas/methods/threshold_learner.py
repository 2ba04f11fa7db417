"""The decisions of a superkernel net as they learn: costs, their multipliers, and what was met within the limits."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nascc.nas.core import Arch, Cost, Limit
from nascc.nas.search import Controller, Gains, Shares, repairs
from nascc.nas.search.pool import Pool
from nascc.nas.search.shares import Numbers
from nascc.nas.search.swaps import order, worth
from nascc.nas.supernets.indicators import Gates
from nascc.nas.supernets.superkernel_net import SuperkernelNet
from nascc.nas.supernets.superkernel_runtime import Runtime

STARTS = 16
"""From how many architectures repair starts."""
RECENT = 64
"""How many of the last decided architectures are kept."""


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
        self.shares, self.pool = Shares(net.space.choices, self.limits), Pool()
        self.recent: dict[Arch, None] = {}
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
        return torch.stack([weight * runtime(gates) / runtime.unit() for weight, runtime in pairs]).sum()

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
        """Distinct architectures within the limits, those nearest to a decision first.

        Repair starts from what is decided, what was decided last, and the best met within the limits.
        """
        decided = self.net.decide()
        if not self.limits:
            return [decided]
        preference = self.preference()
        met = self.pool.best(STARTS, lambda arch: worth(arch, preference))
        starts = dict.fromkeys([decided, *list(self.recent)[-4:], *met])
        answers = sorted((r for arch in starts for r in repairs(arch, preference, self.shares)), key=order)
        distinct = list({answer.arch: answer for answer in reversed(answers)}.values())[::-1]
        within = [answer.arch for answer in distinct if answer.within]
        return (within or [distinct[0].arch])[:number]

    @torch.no_grad()
    def preference(self) -> Numbers:
        """What each choice is worth, [S, C]: the logarithm of its chance were indicators drawn by their sigmoids."""
        rows = []
        for superkernel in self.net.superkernels:
            chances = superkernel.margins().sigmoid()
            gates = superkernel.gates_of(chances)
            rows.append(superkernel.coefficients(gates).clamp_min(1e-12).log())
        width = max(map(len, rows))
        table: Numbers = (
            torch.stack([torch.cat([r, r.new_full((width - len(r),), -1e9)]) for r in rows]).double().numpy()
        )
        return table

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
        chances = torch.from_numpy(self.preference()).exp()
        return {"probabilities": chances, "deviation": torch.stack([s.deviation() for s in self.net.superkernels])}

    def state_dict(self) -> dict[str, Any]:
        return {
            "gains": self.gains.state_dict(),
            "pool": self.pool.state_dict(),
            "recent": [list(arch) for arch in self.recent],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.gains = Gains.load(state["gains"])
        self.pool.load_state_dict(state["pool"])
        self.recent = dict.fromkeys(tuple(arch) for arch in state["recent"])

    def _observe(self, decided: Arch) -> None:
        """Move the multipliers by the errors of what is decided, and remember it."""
        if not self.limits:
            return
        errors = [
            (limit.cost(decided) - self.controller.aim * limit.at_most) / (runtime.unit() * len(decided))
            for limit, runtime in zip(self.limits, self._runtimes, strict=True)
        ]
        self.gains = self.controller.observe(self.gains, errors, self.lr)
        self.recent.pop(decided, None)
        self.recent[decided] = None
        self.recent = dict(list(self.recent.items())[-RECENT:])
        if self.shares.fits(decided):
            self.pool.add(decided, lambda arch: worth(arch, self.preference()))
