"""How good a network is on a split."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nascc.nas.tasks import Split

Network = nn.Module | Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Evaluation:
    """Share of images [0, 1] whose largest logit is the right one, and mean cross-entropy in nats."""

    accuracy: float
    loss: float
    images: int

    @property
    def score(self) -> float:
        """Higher is better."""
        return self.accuracy


@torch.no_grad()
def evaluate(network: Network, split: Split, batch_size: int = 250, device: torch.device | None = None) -> Evaluation:
    """Run `network`, images [N, C, H, W] -> logits [N, K], over the whole split.

    A module is evaluated in eval mode on the device of its parameters, and left in the mode it was in; a callable
    gets what it is given, on `device`.
    """
    modes = {part: part.training for part in network.modules()} if isinstance(network, nn.Module) else {}
    if isinstance(network, nn.Module):
        network.eval()
        device = device or device_of(network)
    right, loss = 0, 0.0
    try:
        for indices in torch.split(torch.arange(len(split)), batch_size):
            images, labels = (tensor.to(device) for tensor in split.batch(indices))
            logits = network(images.to(memory_format=torch.channels_last))
            right += int((logits.argmax(dim=1) == labels).sum())
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
    finally:
        for part, training in modes.items():
            part.training = training
    return Evaluation(right / len(split), loss / len(split), len(split))


def device_of(module: nn.Module) -> torch.device:
    """Where its parameters are; the CPU without any."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
