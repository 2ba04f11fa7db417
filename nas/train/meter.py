"""Sums of loss and of what is measured over an epoch, kept where they arise so that nothing waits for them."""

import math
from typing import Any

import torch
from torch import Tensor

from nascc.nas.errors import Diverged
from nascc.nas.train.objective import Objective

EVERY = 20
"""Steps after which a loss on an accelerator is looked at; on the processor each one is."""


class Meter:
    """Losses, scalars in float32, and outputs with their targets come in; means and the objective's measures go out."""

    def __init__(self, device: torch.device, objective: Objective) -> None:
        self._objective = objective
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._sums = {name: torch.zeros((), dtype=torch.int64, device=device) for name in objective.counts}
        self._sums |= {name: torch.zeros((), dtype=torch.float64, device=device) for name in objective.totals}
        self._steps = self._images = 0

    @torch.no_grad()
    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Raises Diverged for a loss that is no number."""
        self._loss += loss
        for name, value in self._objective.sums(outputs, targets).items():
            self._sums[name] += value
        self._steps += 1
        self._images += len(targets)
        if self._loss.device.type == "cpu" or self._steps % EVERY == 0:
            self.check()

    def check(self) -> None:
        """Raise Diverged unless every loss since the last reset was finite."""
        if not math.isfinite(total := float(self._loss)):
            raise Diverged(
                f"the loss must be finite, got {total} in step {self._steps} of the epoch or shortly before; "
                "the last good state is kept; train with a lower learning rate, or clip gradients"
            )

    def means(self) -> dict[str, float]:
        """Mean loss, and the measures, since the last reset, which this is."""
        self.check()
        means = {"loss": float(self._loss) / self._steps}
        means |= self._objective.measures(self._numbers(), self._images)
        self.load({"loss": 0.0, "steps": 0, "images": 0} | dict.fromkeys(self._sums, 0))
        return means

    def state(self) -> dict[str, Any]:
        """Numbers from which `load` goes on. Raises Diverged."""
        self.check()
        return {"loss": float(self._loss), **self._numbers(), "steps": self._steps, "images": self._images}

    def load(self, state: dict[str, Any]) -> None:
        self._loss.fill_(state["loss"])
        for name, value in self._sums.items():
            value.fill_(state[name])
        self._steps, self._images = state["steps"], state["images"]

    def _numbers(self) -> dict[str, float]:
        return {name: value.item() for name, value in self._sums.items()}
