"""Training of one network as steps that can be stopped, saved and gone on with."""

from typing import Any

import torch
from torch import Tensor, nn

from nascc.nas.core.randomness import seed_everything
from nascc.nas.errors import RunMismatch
from nascc.nas.tasks import Split
from nascc.nas.train.batches import Batches, ReadAhead
from nascc.nas.train.ema import build_ema, copy_averages
from nascc.nas.train.evaluation import Network, device_of, judge, measures_of
from nascc.nas.train.layout import channels_last
from nascc.nas.train.linearisation import hybrids, install_hybrids, linearise, remove_hybrids
from nascc.nas.train.meter import Meter
from nascc.nas.train.objective import objective_of
from nascc.nas.train.optimiser import build_optimiser, descend
from nascc.nas.train.recipe import Recipe
from nascc.nas.train.schedule import learning_rate

RECALIBRATED = 16
"""Batches that give batch norms their statistics once the activations between them are gone."""


class Training:
    """`step(i)` for i from 0 to `total` - 1, in order; `state` and `load` between any two of them.

    `module` maps images [N, C, H, W] to what the objective of the split takes, logits [N, K] or depths [N, 1, H, W]; it
    is trained in place, where its parameters are. What a step draws follows from `seed`, `phase` and i, so that on a
    processor a loaded state ends in the same bits. `teacher` gives outputs that are learned from too. With `valid`,
    each epoch ends with an evaluation of the weights that would be kept. Activations inside linear operators follow
    `recipe.linear`. `series` holds one number an epoch: `lr` (at its end), `loss`, `valid_loss`, the measures of the
    objective (`accuracy`, or `rmse` and `delta1`, and with `valid_` before them), and `slope` in hybrid training.
    """

    def __init__(
        self,
        module: nn.Module,
        split: Split,
        recipe: Recipe,
        *,
        seed: int,
        phase: str = "retrain",
        teacher: Network | None = None,
        valid: Split | None = None,
    ) -> None:
        self.recipe, self.seed, self.phase, self.valid = recipe, seed, phase, valid
        if recipe.linear.training == "hybrid":
            install_hybrids(module)
        self.module = channels_last(module.train())
        self.teacher = teacher.eval() if isinstance(teacher, nn.Module) else teacher
        batches = Batches(split, recipe.batch_size, seed, phase)
        self.steps_per_epoch = batches.steps_per_epoch
        self.total, self.done = recipe.epochs * self.steps_per_epoch, 0
        self.series: dict[str, list[float]] = {}
        self._batches, self._device = ReadAhead(batches, self.total), device_of(module)
        self._objective = objective_of(split)
        self._optimiser, self._meter = build_optimiser(module, recipe), Meter(self._device, self._objective)
        self._ema = None if recipe.ema is None else build_ema(module, recipe.ema)
        self._made_for = {"recipe": recipe.model_dump_json(), "seed": seed, "phase": phase, "images": len(split)}

    def step(self, step: int) -> dict[str, float] | None:
        """One batch; at the end of an epoch, its row of `series`. Raises Diverged when the loss is no number."""
        self._linearise(self._slope(step))
        images, targets = self._batch(step)
        seed_everything(self.seed, self.phase, step)
        outputs = self.module(images)
        loss = self._objective.loss(outputs, targets, self.recipe, self._taught(images))
        self._meter.add(loss.detach(), outputs.detach(), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(self.recipe, step, self.steps_per_epoch)
        descend(self._optimiser, rate, self.recipe.clip)
        if self._ema is not None:
            self._ema.update_parameters(self.module)
        self.done = step + 1
        return self._epoch_row(rate) if self.done % self.steps_per_epoch == 0 else None

    def state(self) -> dict[str, Any]:
        """All that `load` needs; tensors are live, so copy or write them before the next step. Raises Diverged."""
        return {
            "made_for": self._made_for,
            "done": self.done,
            "module": self.module.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "ema": None if self._ema is None else self._ema.state_dict(),
            "meter": self._meter.state(),
            "series": {name: list(values) for name, values in self.series.items()},
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state. Raises RunMismatch when it is of another recipe, seed, phase or number of images."""
        made_for = state["made_for"]
        if wrong := [name for name, value in self._made_for.items() if made_for.get(name) != value]:
            raise RunMismatch(f"a state must be of the same training, found another {' and '.join(wrong)}; start anew")
        if self._slope(state["done"] - 1) == 1:
            remove_hybrids(*self._averaged())
        self.module.load_state_dict(state["module"])
        self._optimiser.load_state_dict(state["optimiser"])
        if self._ema is not None:
            self._ema.load_state_dict(state["ema"])
        self._meter.load(state["meter"])
        self.done = state["done"]
        self.series = {name: list(values) for name, values in state["series"].items()}

    def finish(self) -> nn.Module:
        """The module with the weights to keep, the averaged ones if there are any, in eval mode; no step after this.

        No hybrid activation is left.
        """
        self._linearise(1.0)
        if self._ema is not None:
            copy_averages(self._ema, self.module)
        return self.module.eval()

    def _batch(self, step: int) -> tuple[Tensor, Tensor]:
        images, targets = (tensor.to(self._device, non_blocking=True) for tensor in self._batches(step))
        return images.to(memory_format=torch.channels_last), targets

    @property
    def slope(self) -> float | None:
        """The slope of the hybrid activations; None without any."""
        found = hybrids(self.module)
        return float(found[0].slope) if found else None

    def _slope(self, step: int) -> float:
        return self.recipe.linear.slope(step, self.steps_per_epoch)

    def _linearise(self, slope: float) -> None:
        count = min(RECALIBRATED, self.steps_per_epoch)
        images = (self._batches.batches(step)[0].to(self._device) for step in range(count))
        linearise(slope, images, *self._averaged())

    def _averaged(self) -> tuple[nn.Module, ...]:
        """The module and the one with averaged weights, if there is one."""
        return (self.module,) if self._ema is None else (self.module, self._ema.module)

    @torch.no_grad()
    def _taught(self, images: Tensor) -> Tensor | None:
        return None if self.teacher is None or not self.recipe.distillation.weight else self.teacher(images)

    def _epoch_row(self, rate: float) -> dict[str, float]:
        row = {"lr": rate, **self._meter.means()}
        if self.recipe.linear.training == "hybrid":
            row["slope"] = 1.0 if (slope := self.slope) is None else slope
        if self.valid is not None:
            network = self.module if self._ema is None else self._ema.module
            found = measures_of(judge(network, self.valid, device=self._device))
            row |= {f"valid_{name}": value for name, value in found.items()}
        for name, value in row.items():
            self.series.setdefault(name, []).append(value)
        return row
