"""Trains the weights of a supernet: one optimiser step over the selections of a step."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nascc.nas.core.selection import Sel
from nascc.nas.core.supernet import SuperNet
from nascc.nas.tasks import Split
from nascc.nas.train.batches import Batches
from nascc.nas.train.layout import channels_last
from nascc.nas.train.objective import objective_of
from nascc.nas.train.optimiser import build_optimiser, descend
from nascc.nas.train.recipe import Recipe
from nascc.nas.train.schedule import learning_rate

State = dict[str, Any]


class WeightTrainer:
    """Steps of `recipe` over batches of `split`; its epochs, mostly one, span `total` steps.

    Gradients of several selections are added up one after the other, so that memory stays that of one path; what comes
    before the first searched block runs once for all of them. `others` are parameters that somebody else trains.
    """

    def __init__(
        self, net: SuperNet, split: Split, recipe: Recipe, total: int, seed: int, others: Sequence[nn.Parameter] = ()
    ) -> None:
        self.net = channels_last(net)
        self.recipe, self.total, self.objective = recipe, total, objective_of(split)
        self.batches = Batches(split, recipe.batch_size, seed, "supernet")
        left = {id(parameter) for parameter in others}
        self.optimiser = build_optimiser([p for p in net.parameters() if id(p) not in left], recipe)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Images [N, C, H, W] of a step and their targets: labels [N], or depths [N, 1, H, W]."""
        images, targets = self.batches(step)
        return images.to(memory_format=torch.channels_last), targets

    def step(self, step: int, selections: Sequence[Sel]) -> float:
        """One optimiser step; returns the mean loss of the selections."""
        self.net.train()
        images, targets = self.batch(step)
        shared = self.net.prefix(images)
        leaf = shared.detach().requires_grad_(shared.requires_grad)
        losses = []
        for selection in selections:
            loss = self.objective.loss(self.net.after_prefix(leaf, selection), targets, self.recipe)
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        if shared.requires_grad:
            shared.backward(leaf.grad)  # type: ignore[no-untyped-call]
        self._descend(step)
        return float(torch.stack(losses).mean())

    def step_with(
        self, step: int, forward: Callable[[Tensor], Tensor], extra: Callable[[], Tensor | None]
    ) -> tuple[float, float]:
        """One optimiser step on the loss of `forward` plus what `extra` gives after it; returns both terms."""
        images, targets = self.batch(step)
        loss = self.objective.loss(forward(images), targets, self.recipe)
        more = extra()
        (loss if more is None else loss + more.to(loss.dtype)).backward()  # type: ignore[no-untyped-call]
        self._descend(step)
        return float(loss.detach()), 0.0 if more is None else float(more.detach())

    def _descend(self, step: int) -> None:
        rate = learning_rate(self.recipe, step, max(1, self.total // self.recipe.epochs))
        descend(self.optimiser, rate, self.recipe.clip)

    def state_dict(self) -> State:
        return {"supernet": self.net.state_dict(), "optimiser": self.optimiser.state_dict()}

    def load_state_dict(self, state: State) -> None:
        self.net.load_state_dict(state["supernet"])
        self.optimiser.load_state_dict(state["optimiser"])
