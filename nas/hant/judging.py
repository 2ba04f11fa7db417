"""How well a network with exchanged blocks does, its batch norms treated in one of three ways."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from nascc.nas.hant.config import Norms
from nascc.nas.regions import Chain
from nascc.nas.supernets import recalibrate
from nascc.nas.tasks import Split

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Judged:
    """Mean cross-entropy in nats and share of right answers."""

    loss: float
    accuracy: float


def chosen_images(split: Split, count: int, batch_size: int, skip: int = 0) -> list[Batch]:
    """Up to `count` images of a split after the first `skip`, or the last ones, in batches that do not change."""
    first = min(skip, max(0, len(split) - count))
    indices = torch.arange(first, min(first + count, len(split)))
    return [split.batch(part) for part in torch.split(indices, batch_size)]


@torch.no_grad()
def judge(network: nn.Module, batches: Sequence[Batch], norms: Norms) -> Judged:
    """A network on batches of (inputs, labels); inputs may be features where it begins in the middle.

    With `recal` its statistics are averaged over the same inputs first, and stay so.
    """
    if norms == "recal":
        recalibrate(network, (x for x, _ in batches))
    loss, right, images = 0.0, 0, 0
    with evaluation(network, norms):
        for x, labels in batches:
            logits = network(x)
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
            right += int((logits.argmax(1) == labels).sum())
            images += len(labels)
    return Judged(loss / images, right / images)


@contextlib.contextmanager
def evaluation(network: nn.Module, norms: Norms) -> Iterator[None]:
    """Eval mode, but that batch norms use the batch where asked to; their own statistics stay as they are."""
    modes = {part: part.training for part in network.modules()}
    found = [part for part in network.modules() if isinstance(part, _BatchNorm)]
    momenta = {norm: norm.momentum for norm in found}
    counts = {norm: norm.num_batches_tracked.clone() for norm in found if norm.num_batches_tracked is not None}
    network.eval()
    if norms == "batch":
        for norm in found:
            norm.train()
            norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in momenta.items():
            norm.momentum = momentum
            if norm in counts:
                norm.num_batches_tracked = counts[norm]
        for part, training in modes.items():
            part.training = training


@torch.no_grad()
def features_at(chain: Chain, slot: int, batches: Sequence[Batch]) -> list[Batch]:
    """What the teacher feeds to the block of a slot, in place of the images."""
    before = nn.Sequential(*list(chain.parts)[: chain.places[slot]])
    return [(before(x), labels) for x, labels in batches]
