"""Which paths of a supernet train in a step, before anything is known of them."""

from abc import ABC, abstractmethod

import torch

from nascc.nas.core.randomness import generator
from nascc.nas.core.selection import Sel
from nascc.nas.core.space import Arch, Space


class Sampler(ABC):
    """Draws the selections of a step; what it draws follows from the step alone."""

    @abstractmethod
    def draw(self, step: int, batch: int) -> list[Sel]:
        """The selections that step `step` trains on, each with its own forward and backward pass over a batch."""


class FairSampler(Sampler):
    """Every operator of a slot once per cycle, in an order drawn for each slot and cycle (strict fairness).

    A cycle has as many paths as the largest slot has operators, smaller slots begin again. One path a step, or, as
    the released code of LightNAS has it, all paths of a cycle in one step (`accumulate`).
    """

    def __init__(self, space: Space, seed: int, accumulate: bool = False) -> None:
        self.space, self.seed, self.accumulate = space, seed, accumulate

    @property
    def cycle(self) -> int:
        """Paths in a cycle."""
        return max(self.space.choices)

    def draw(self, step: int, batch: int) -> list[Sel]:
        if self.accumulate:
            return [self._path(step, position) for position in range(self.cycle)]
        return [self._path(*divmod(step, self.cycle))]

    def _path(self, cycle: int, position: int) -> Arch:
        draw = generator(self.seed, "fair", cycle)
        orders = [torch.randperm(choices, generator=draw).tolist() for choices in self.space.choices]
        return tuple(order[position % len(order)] for order in orders)
