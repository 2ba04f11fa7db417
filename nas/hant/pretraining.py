"""One round of pretraining: a forward of the teacher teaches one candidate in every block."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

from nascc.nas.core.randomness import seed_everything
from nascc.nas.hant.config import Pretraining
from nascc.nas.regions import Chain
from nascc.nas.tasks import Split
from nascc.nas.train.batches import Batches, ReadAhead
from nascc.nas.train.layout import channels_last

NAME = "pretrain"
LAST = 0.25
"""The loss that is told of a candidate is the mean over this share of the steps."""


class Round:
    """`candidates[slot]` learn what the teacher's block does on the teacher's own features (hant.md, Eq. 2).

    No gradient leaves a block, every candidate has an optimiser of its own, and images come in the same order whatever
    else is trained: a candidate ends in the same bits in any company. One whose loss is no number stops (`diverged`).
    """

    def __init__(
        self, teacher: Chain, split: Split, candidates: Mapping[int, nn.Module], settings: Pretraining, seed: int
    ) -> None:
        self.teacher, self.settings, self.seed = teacher.eval(), settings, seed
        self.candidates = {slot: channels_last(module.train()) for slot, module in sorted(candidates.items())}
        batches = Batches(split, settings.batch_size, seed, NAME)
        per_epoch = min(batches.steps_per_epoch, -(-(settings.images or len(split)) // batches.batch_size))
        self.total, self.done = settings.epochs * per_epoch, 0
        self._per_epoch, self._all = per_epoch, batches.steps_per_epoch
        self._batches = ReadAhead(batches, settings.epochs * self._all)
        self._optimisers = {s: _optimiser(m, settings) for s, m in self.candidates.items() if _learns(m)}
        self.losses: dict[int, list[float]] = {slot: [] for slot in self.candidates}

    @property
    def diverged(self) -> frozenset[int]:
        """Slots whose candidate ended in a loss that is no number."""
        return frozenset(slot for slot, losses in self.losses.items() if losses and not math.isfinite(losses[-1]))

    def step(self, step: int) -> None:
        """One batch through the teacher, one step of every candidate."""
        epoch, position = divmod(step, self._per_epoch)
        images, _ = self._batches(epoch * self._all + position)
        images = images.to(memory_format=torch.channels_last)
        seed_everything(self.seed, NAME, step)
        with torch.no_grad():
            features = list(self.teacher.slot_io(images))
        rate = self.settings.lr * 0.5 * (1 + math.cos(math.pi * step / self.total))
        for slot, module in self.candidates.items():
            if slot not in self.diverged:
                self.losses[slot].append(self._learn(slot, module, *features[slot], rate))
        self.done = step + 1

    def final_loss(self, slot: int) -> float:
        """The mean over the last steps."""
        last = self.losses[slot][-max(1, round(LAST * self.total)) :]
        return sum(last) / len(last)

    def state(self) -> dict[str, Any]:
        """All that `load` needs; numbers that are none are told as words."""
        return {
            "done": self.done,
            "modules": {slot: module.state_dict() for slot, module in self._finite()},
            "optimisers": {s: o.state_dict() for s, o in self._optimisers.items() if s not in self.diverged},
            "losses": {slot: [v if math.isfinite(v) else "none" for v in row] for slot, row in self.losses.items()},
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.losses = {s: [math.nan if v == "none" else v for v in row] for s, row in state["losses"].items()}
        for slot, module in self._finite():
            module.load_state_dict(state["modules"][slot])
            if slot in self._optimisers:
                self._optimisers[slot].load_state_dict(state["optimisers"][slot])
        self.done = state["done"]

    def _finite(self) -> list[tuple[int, nn.Module]]:
        return [(slot, module) for slot, module in self.candidates.items() if slot not in self.diverged]

    def _learn(self, slot: int, module: nn.Module, x: Tensor, y: Tensor, rate: float) -> float:
        if slot not in self._optimisers:
            with torch.no_grad():
                return float(self._loss(module(x), y))
        loss = self._loss(module(x), y)
        if not math.isfinite(value := float(loss.detach())):
            return math.nan
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(module.parameters(), self.settings.clip or math.inf)
        if not math.isfinite(float(norm)):
            return math.nan
        optimiser = self._optimisers[slot]
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        optimiser.zero_grad()
        return value

    def _loss(self, told: Tensor, wanted: Tensor) -> Tensor:
        error = (told - wanted).square()
        if self.settings.loss == "paper":
            return self.settings.gamma * error.sum()
        return error.mean() / wanted.square().mean().clamp_min(1e-12)


def _learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _optimiser(module: nn.Module, settings: Pretraining) -> Optimizer:
    """No weight decay: the paper has none."""
    if settings.optimiser == "sgd":
        return SGD(module.parameters(), lr=settings.lr, momentum=settings.momentum)
    return Adam(module.parameters(), lr=settings.lr)
