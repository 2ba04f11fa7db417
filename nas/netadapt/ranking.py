"""How good a sub-network is with the supernet's weights: nothing is trained."""

from dataclasses import replace

import torch

from nascc.nas.core import Arch
from nascc.nas.elastic import ElasticNet
from nascc.nas.netadapt.config import Ranking
from nascc.nas.supernets import recalibrate
from nascc.nas.tasks import Split, Task
from nascc.nas.train import Judgement, judge
from nascc.nas.train.layout import channels_last

SPLIT = "alpha"
"""Images that the supernet has not seen."""


class Ranker:
    """Judges architectures of one supernet; the same one always gets the same number."""

    def __init__(self, net: ElasticNet, task: Task, settings: Ranking) -> None:
        self.net, self.task, self.settings = net.eval(), task, settings
        self.images = first(task.split(SPLIT), settings.images)

    def score(self, arch: Arch) -> float:
        """Higher is better."""
        found = self.judge(arch)
        return -found.loss if self.settings.by == "loss" else found.score

    def judge(self, arch: Arch) -> Judgement:
        """On the images for it, after batch norms got statistics of the small network itself."""
        network = channels_last(self.net.extract(arch))
        if self.settings.batches:
            recalibrate(network, self._batches())
        return judge(network, self.images)

    def _batches(self) -> list[torch.Tensor]:
        split, size = self.task.split("weights"), self.settings.batch_size
        places = [torch.arange(size * k, size * (k + 1)) % len(split) for k in range(self.settings.batches)]
        return [split.batch(place)[0].to(memory_format=torch.channels_last) for place in places]


def first(split: Split, count: int) -> Split:
    """The first images of a split."""
    return replace(split, indices=split.indices[:count], labels=split.labels[:count])
