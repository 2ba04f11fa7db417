"""Sums of loss and right answers over an epoch, kept where they arise so that nothing waits for them."""

import math
from typing import Any

import torch
from torch import Tensor

from nascc.nas.errors import Diverged

EVERY = 20
"""Steps after which a loss on an accelerator is looked at; on the processor each one is."""


class Meter:
    """Losses, scalars in float32, and logits [N, K] with labels [N] come in; means go out."""

    def __init__(self, device: torch.device) -> None:
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._right = torch.zeros((), dtype=torch.int64, device=device)
        self._steps = self._images = 0

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Raises Diverged for a loss that is no number."""
        self._loss += loss
        self._right += (logits.argmax(dim=1) == labels).sum()
        self._steps += 1
        self._images += len(labels)
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
        """Mean loss and accuracy since the last reset, which this is."""
        self.check()
        means = {"loss": float(self._loss) / self._steps, "accuracy": int(self._right) / self._images}
        self.load({"loss": 0.0, "right": 0, "steps": 0, "images": 0})
        return means

    def state(self) -> dict[str, Any]:
        """Numbers from which `load` goes on. Raises Diverged."""
        self.check()
        sums = {"loss": float(self._loss), "right": int(self._right)}
        return sums | {"steps": self._steps, "images": self._images}

    def load(self, state: dict[str, Any]) -> None:
        self._loss.fill_(state["loss"])
        self._right.fill_(state["right"])
        self._steps, self._images = state["steps"], state["images"]
