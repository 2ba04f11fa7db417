"""The temperature of the Gumbel softmax over a search."""

import math
from dataclasses import dataclass

from nascc.nas.errors import SearchError


@dataclass(frozen=True)
class Temperature:
    """start * exp(-rate * (epoch - hold)) after `hold` epochs, never below `floor`.

    The paper goes on to 1.9e-3 (`floor=0`). Much below 0.1 the gradient of a softmax is zero except near ties, where it
    is huge: Adam makes noise of it.
    """

    start: float = 5.0
    rate: float = 0.1
    hold: int = 10
    floor: float = 0.3
    epochs: int = 90

    def __post_init__(self) -> None:
        if self.start <= 0 or self.floor < 0 or not 0 <= self.hold < self.epochs:
            raise SearchError(f"temperatures must be positive and `hold` below `epochs`, got {self}")

    def at(self, epoch: float) -> float:
        """The temperature at an epoch, which may be a fraction."""
        return max(self.floor, self.start * math.exp(-self.rate * max(0.0, epoch - self.hold)))

    def epoch(self, progress: float) -> float:
        """The epoch at which a share `progress`, 0 to 1, of the steps is done; those on logits start after `hold`."""
        return self.hold + progress * (self.epochs - self.hold)
