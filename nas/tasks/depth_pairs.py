"""Images with a depth a pixel, and splits of them."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nascc.nas.tasks.config import Kind
from nascc.nas.tasks.preprocessing import Preprocessing
from nascc.nas.tasks.task import SPLITS, Images, Split, splits_of

CLASSES = ("depth",)
"""The one number that a network gives a pixel."""


class Pairs(Images):
    """Images whose depths are changed with them: a mirrored image has mirrored depths."""

    @abstractmethod
    def pairs(self, indices: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """Images as `batch` gives them, and depths FloatTensor [N, 1, H, W] in metres, 0 where unknown."""

    def batch(self, indices: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.pairs(indices, generator)[0]


@dataclass(frozen=True, eq=False)
class DepthSplit(Split):
    """Some of the pairs. Its labels are those of the only class."""

    images: Pairs

    @property
    def kind(self) -> Kind:
        return "depth"

    def batch(self, indices: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Positions [N] in this split -> (images [N, C, H, W], depths [N, 1, H, W]); no generator, no augmentation."""
        return self.images.pairs(self.indices[indices], generator)


class StoredPairs(Pairs):
    """In memory: images uint8 [n, C, H, W], depths float32 [n, 1, H, W]; there is no augmentation."""

    def __init__(self, stored: Tensor, depths: Tensor, preprocessing: Preprocessing) -> None:
        self.stored, self.depths, self.preprocessing = stored, depths, preprocessing

    def pairs(self, indices: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        return self.preprocessing.normalise(self.stored[indices]), self.depths[indices]


def depth_splits(pairs: Pairs, count: int, members: Mapping[str, Tensor]) -> dict[str, Split]:
    """Splits over `count` pairs; `members` gives the indices of each but `train`."""
    plain = splits_of(pairs, torch.zeros(count, dtype=torch.long), members)
    return {name: DepthSplit(name, pairs, plain[name].indices, plain[name].labels) for name in SPLITS}
