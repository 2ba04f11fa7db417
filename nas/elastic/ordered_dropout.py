"""Ordered dropout (NetAdaptV2, Sec. 3.2): which sub-network every image of a batch trains."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nascc.nas.core.randomness import generator
from nascc.nas.elastic.space import ElasticSpace


@dataclass(frozen=True)
class OrderedDropout:
    """Draws [N, S]: widths are balanced, each of a layer occurring floor or ceil(N / widths) times in a batch.

    A share `whole` of the images, the first ones, runs the initial network: at small scale nothing learns without.
    Kernels are drawn for the batch (the paper is silent), or for each `image`.
    """

    space: ElasticSpace
    seed: int
    whole: float = 0.0
    kernels: Literal["batch", "image"] = "batch"

    def draw(self, step: int, batch: int) -> Tensor:
        """Indices of operators, LongTensor [batch, slots]; what a step draws follows from its number alone."""
        draw = generator(self.seed, "ordered-dropout", step)
        full = min(batch, round(self.whole * batch))
        columns = []
        for choice in self.space.selected:
            count = len(choice.values)
            if choice.is_kernel and self.kernels == "batch":
                column = torch.randint(count, (1,), generator=draw).expand(batch - full)
            else:
                column = _balanced(count, batch - full, draw)
            columns.append(torch.cat([torch.zeros(full, dtype=torch.long), column]))
        return torch.stack(columns, 1)


def _balanced(count: int, batch: int, draw: torch.Generator) -> Tensor:
    """Every choice equally often, but for a remainder that is drawn, in random order."""
    order = torch.randperm(count, generator=draw)
    return order.repeat(-(-batch // count))[:batch][torch.randperm(batch, generator=draw)]
