"""Rank architectures with the supernet that knows them all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from nascc.nas.core import Arch, Cost, Space, SuperNet
from nascc.nas.phases.config import Count, Data
from nascc.nas.supernets import recalibrate
from nascc.nas.tasks import Task
from nascc.nas.train import evaluate
from nascc.nas.train.layout import channels_last


class Rerank(Data):
    """How many candidates are ranked, with batch norm statistics from `batches` batches of `batch_size` images."""

    candidates: Count = 12
    batches: Count = 8
    batch_size: Count = 64


@dataclass(frozen=True)
class Ranked:
    """An architecture, and what the supernet's weights reach on the validation images."""

    arch: Arch
    accuracy: float
    loss: float


def rerank(net: SuperNet, task: Task, archs: Sequence[Arch], settings: Rerank) -> list[Ranked]:
    """The architectures with the least validation loss first; each is extracted, and its batch norms recalibrated."""
    scored = [score(net, task, arch, settings) for arch in archs]
    return sorted(scored, key=lambda ranked: (ranked.loss, ranked.arch))


def score(net: SuperNet, task: Task, arch: Arch, settings: Rerank) -> Ranked:
    """What the weights of the supernet reach as this architecture."""
    weights, size = task.split("weights"), settings.batch_size
    network = channels_last(net.extract(arch))
    count = min(settings.batches, max(1, len(weights) // size))
    images = (weights.batch(torch.arange(size * i, min(size * (i + 1), len(weights))))[0] for i in range(count))
    recalibrate(network, (batch.to(memory_format=torch.channels_last) for batch in images))
    result = evaluate(network, task.split("valid"))
    return Ranked(arch, result.accuracy, result.loss)


def found(space: Space, ranked: Sequence[Ranked], costs: Sequence[Cost], before: Arch) -> dict[str, Any]:
    """The result of a search, as plain data: the first of `ranked`, all of them, and what stood `before` repair."""

    def cost(arch: Arch) -> dict[str, float]:
        return {cost.metric: cost(arch) for cost in costs}

    rivals = [
        {"arch": space.name_of(r.arch), "accuracy": r.accuracy, "loss": r.loss, "cost": cost(r.arch)} for r in ranked
    ]
    best = ranked[0].arch
    return {
        "search": {"candidates": rivals},
        "arch": list(best),
        "name": space.name_of(best),
        "cost": cost(best),
        "before_repair": list(before),
    }
