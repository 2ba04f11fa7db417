"""How good a network is on a split."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from nascc.nas.errors import SearchError
from nascc.nas.tasks import Split
from nascc.nas.train.objective import objective_of

Network = nn.Module | Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Evaluation:
    """Share of images [0, 1] whose largest logit is the right one, and mean cross-entropy in nats."""

    accuracy: float
    loss: float
    images: int

    @property
    def score(self) -> float:
        """What networks are ranked by; higher is better."""
        return self.accuracy


@dataclass(frozen=True)
class DepthEvaluation:
    """Root mean squared error in metres, share of depths within a factor of 1.25, mean absolute error in metres.

    Over all pixels of known depth together, whichever image they are of (Eigen et al. 2014).
    """

    rmse: float
    delta1: float
    loss: float
    images: int

    @property
    def score(self) -> float:
        """What networks are ranked by; higher is better."""
        return -self.rmse


Judgement = Evaluation | DepthEvaluation


def evaluate(network: Network, split: Split, batch_size: int = 250, device: torch.device | None = None) -> Evaluation:
    """Run `network`, images [N, C, H, W] -> logits [N, K], over the whole split.

    A module is evaluated in eval mode on the device of its parameters, and left in the mode it was in; a callable
    gets what it is given, on `device`. Raises SearchError for a split that is not one of classes.
    """
    if split.kind != "classification":
        raise SearchError(f"an accuracy needs a task of kind classification, got the {split.kind} split '{split.name}'")
    found = judge(network, split, batch_size, device)
    assert isinstance(found, Evaluation)
    return found


@torch.no_grad()
def judge(network: Network, split: Split, batch_size: int = 250, device: torch.device | None = None) -> Judgement:
    """`evaluate` for a task of any kind: the network gives what the kind's objective takes."""
    objective = objective_of(split)
    modes = {part: part.training for part in network.modules()} if isinstance(network, nn.Module) else {}
    if isinstance(network, nn.Module):
        network.eval()
        device = device or device_of(network)
    sums, loss = dict.fromkeys((*objective.counts, *objective.totals), 0.0), 0.0
    try:
        for indices in torch.split(torch.arange(len(split)), batch_size):
            images, targets = (tensor.to(device) for tensor in split.batch(indices))
            outputs = network(images.to(memory_format=torch.channels_last))
            sums = {name: sums[name] + float(value) for name, value in objective.sums(outputs, targets).items()}
            loss += float(objective.error(outputs, targets))
    finally:
        for part, training in modes.items():
            part.training = training
    mean = loss / objective.weight(sums, len(split))
    kind = Evaluation if split.kind == "classification" else DepthEvaluation
    return kind(**objective.measures(sums, len(split)), loss=mean, images=len(split))


def measures_of(found: Judgement) -> dict[str, float]:
    """The loss, then what is told of a network: 'loss', 'accuracy'."""
    return {"loss": found.loss} | told_measures(asdict(found))


def told_measures(numbers: Mapping[str, float]) -> dict[str, float]:
    """Of the numbers of an evaluation those that are told of a network: its accuracy, or what its depths are like."""
    return {name: value for name, value in numbers.items() if name not in ("loss", "images")}


def device_of(module: nn.Module) -> torch.device:
    """Where its parameters are; the CPU without any."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
