"""How much of a quantity the choices can change: the unit that makes losses and costs comparable."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

KEEP = 0.98


class Scales:
    """Running spreads of several gradients in coefficient space: the sum over slots of largest minus smallest entry.

    For a sum of tables that is the reachable range.
    """

    def __init__(self, number: int, legal: Tensor) -> None:
        self._legal = legal
        self._slots = max(1, int((legal.sum(1) > 1).sum()))
        self._spreads: list[float] = [0.0] * number

    def add(self, position: int, gradient: Tensor) -> None:
        """Take in a gradient with respect to coefficients, [S, C]."""
        high = gradient.masked_fill(~self._legal, -torch.inf).amax(1)
        low = gradient.masked_fill(~self._legal, torch.inf).amin(1)
        found, old = float((high - low).sum()), self._spreads[position]
        self._spreads[position] = found if old == 0 else KEEP * old + (1 - KEEP) * found

    def spread(self, position: int) -> float:
        """What all slots together can change, 1 where nothing changes anything."""
        return self._spreads[position] or 1.0

    def unit(self, position: int) -> float:
        """What an average slot can change."""
        return self.spread(position) / self._slots

    def state_dict(self) -> dict[str, Any]:
        return {"spreads": list(self._spreads)}

    def load_state_dict(self, state: dict[str, Sequence[float]]) -> None:
        self._spreads = list(state["spreads"])
