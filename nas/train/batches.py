"""Batches of a split, in an order that follows from the seed and the step alone."""

from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from nascc.nas.core.randomness import generator
from nascc.nas.tasks import Split

Batch = tuple[Tensor, Tensor]
AHEAD = 3
"""Batches read ahead where images are slow to read."""


def epoch_order(seed: int, name: str, epoch: int, count: int) -> Tensor:
    """The order of epoch `epoch` over `count` images, LongTensor [count]."""
    return torch.randperm(count, generator=generator(seed, "order", name, epoch))


class Batches:
    """Training batches of a split: each epoch takes every image once, but those that fill no whole batch.

    `label` tells orders of the same split apart, where several loops draw from it.
    """

    def __init__(self, split: Split, batch_size: int, seed: int, label: str = "") -> None:
        self.split, self.seed, self.label = split, seed, f"{split.name} {label}".strip()
        self.batch_size = min(batch_size, len(split))
        self._order: tuple[int, Tensor] | None = None

    @property
    def steps_per_epoch(self) -> int:
        return len(self.split) // self.batch_size

    def indices(self, step: int) -> Tensor:
        """Positions in the split, LongTensor [batch_size]."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            self._order = epoch, epoch_order(self.seed, self.label, epoch, len(self.split))
        return self._order[1][position * self.batch_size : (position + 1) * self.batch_size]

    def __call__(self, step: int) -> Batch:
        """Images [N, C, H, W], augmented, and labels [N] of `step`, whichever steps came before."""
        return self.split.batch(self.indices(step), self.random(step))

    def random(self, step: int) -> torch.Generator:
        """What the augmentation of `step` draws from."""
        return generator(self.seed, "augment", self.label, step)


class ReadAhead:
    """The batches of a loop of `total` steps; where images are slow to read, the next ones are read meanwhile."""

    def __init__(self, batches: Batches, total: int) -> None:
        self.batches, self._total = batches, total
        self._waiting: dict[int, Future[Batch]] = {}
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batches") if batches.split.images.slow else None

    def __call__(self, step: int) -> Batch:
        """What the batches give for `step`; reading ahead changes nothing of it."""
        if self._pool is None:
            return self.batches(step)
        soon = range(step, min(step + AHEAD + 1, self._total))
        self._waiting = {at: self._waiting.get(at) or self._submitted(self._pool, at) for at in soon}
        return self._waiting[step].result()

    def _submitted(self, pool: ThreadPoolExecutor, step: int) -> Future[Batch]:
        split, random = self.batches.split, self.batches.random(step)
        return pool.submit(split.batch, self.batches.indices(step), random)
