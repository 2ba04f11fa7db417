"""What a network of each kind of task learns: its loss, and the sums that tell how good it is."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from nascc.nas.tasks import Kind, Split
from nascc.nas.train.depth import depth_distillation, depth_loss, depth_sums
from nascc.nas.train.losses import training_loss
from nascc.nas.train.recipe import Recipe

Sums = Mapping[str, float]


class Objective(ABC):
    """`outputs` are what a network gives for a batch, `targets` what its split gives beside the images."""

    counts: tuple[str, ...]
    """Names of the `sums` that are whole numbers; the others are float64."""
    totals: tuple[str, ...]

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor, recipe: Recipe, taught: Tensor | None = None) -> Tensor:
        """What training minimises, a scalar; `taught` is what a teacher gives. Raises SearchError for a wrong shape."""

    @abstractmethod
    def sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Scalars that may be added up over batches, under the names of `counts` and `totals`."""

    @abstractmethod
    def error(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The plain loss, added up over what `weight` counts."""

    @abstractmethod
    def weight(self, sums: Sums, images: int) -> float:
        """What a sum of `error` is divided by for its mean."""

    @abstractmethod
    def measures(self, sums: Sums, images: int) -> dict[str, float]:
        """How good the outputs are by name, from their sums over so many images."""


class Classification(Objective):
    """Logits [N, K] with labels [N]; `accuracy` is the share of images whose largest logit is the right one."""

    counts, totals = ("right",), ()

    def loss(self, outputs: Tensor, targets: Tensor, recipe: Recipe, taught: Tensor | None = None) -> Tensor:
        return training_loss(outputs, targets, recipe, taught)

    def sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return {"right": (outputs.argmax(dim=1) == targets).sum()}

    def error(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, reduction="sum")

    def weight(self, sums: Sums, images: int) -> float:
        return images

    def measures(self, sums: Sums, images: int) -> dict[str, float]:
        return {"accuracy": sums["right"] / images}


class Depth(Objective):
    """Depths [N, 1, H, W] in metres, 0 where unknown: `rmse` in metres and `delta1` over all known pixels together.

    Labels are not smoothed, and a teacher's temperature does not count.
    """

    counts, totals = ("within", "pixels"), ("squared",)

    def loss(self, outputs: Tensor, targets: Tensor, recipe: Recipe, taught: Tensor | None = None) -> Tensor:
        loss = depth_loss(outputs, targets)
        return loss if taught is None else loss + depth_distillation(outputs, taught, recipe.distillation.weight)

    def sums(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        return depth_sums(outputs, targets)

    def error(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return torch.where(targets > 0, (outputs - targets).abs(), 0.0).double().sum()

    def weight(self, sums: Sums, images: int) -> float:
        return max(1, sums["pixels"])

    def measures(self, sums: Sums, images: int) -> dict[str, float]:
        pixels = max(1, sums["pixels"])
        return {"rmse": math.sqrt(sums["squared"] / pixels), "delta1": sums["within"] / pixels}


OBJECTIVES: dict[Kind, Objective] = {"classification": Classification(), "depth": Depth()}


def objective_of(split: Split) -> Objective:
    """What networks learn from a split."""
    return OBJECTIVES[split.kind]
