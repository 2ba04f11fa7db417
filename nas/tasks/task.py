"""What a network learns: images and what they show, in splits that share no image."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nascc.nas.errors import SearchError
from nascc.nas.tasks.config import Kind, TaskConfig
from nascc.nas.tasks.preprocessing import Preprocessing

SPLITS = ("train", "weights", "alpha", "valid", "test")
"""`train`, for retraining, is `weights`, `alpha` and `valid` together."""


class Images(ABC):
    """Images that are read when they are needed. `slow` ones are worth reading ahead of time."""

    slow: bool = False

    @abstractmethod
    def batch(self, indices: Tensor, generator: torch.Generator | None) -> Tensor:
        """Images at `indices` [N] -> FloatTensor [N, C, H, W], normalised; augmented with a generator only."""


@dataclass(frozen=True, eq=False)
class Split:
    """Some of the images: `indices` [n] into them, `labels` [n]; both LongTensor."""

    name: str
    images: Images
    indices: Tensor
    labels: Tensor

    @property
    def kind(self) -> Kind:
        """What the images come with."""
        return "classification"

    def __len__(self) -> int:
        return len(self.indices)

    def batch(self, indices: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Positions [N] in this split -> (images [N, C, H, W], labels [N]); no generator, no augmentation."""
        return self.images.batch(self.indices[indices], generator), self.labels[indices]


@dataclass(frozen=True, eq=False)
class Task:
    """Classes, preprocessing and splits. `config` is resolved: opening it again gives the same task.

    A network gives one number for each of `classes`: an image, or for depths, whose only one is `depth`, a pixel.
    `notes` are sentences about what was converted or left out, for the user.
    """

    name: str
    config: TaskConfig
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    splits: Mapping[str, Split] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> Kind:
        """What a network gives: a logit a class, or a depth a pixel."""
        return self.config.kind

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.preprocessing.input_shape

    @property
    def mean(self) -> tuple[float, ...]:
        return self.preprocessing.mean

    @property
    def std(self) -> tuple[float, ...]:
        return self.preprocessing.std

    def split(self, name: str) -> Split:
        """Raises SearchError when there is none of this name."""
        if name not in self.splits:
            raise SearchError(f"the task '{self.name}' must have a split '{name}', found {', '.join(self.splits)}")
        return self.splits[name]


def splits_of(images: Images, labels: Tensor, members: Mapping[str, Tensor]) -> dict[str, Split]:
    """Splits over `images` with `labels` [n]; `members` gives the indices of each but `train`."""
    pooled = torch.cat([members[name] for name in ("weights", "alpha", "valid")])
    everyone = {"train": pooled, **members}
    return {name: Split(name, images, everyone[name], labels[everyone[name]]) for name in SPLITS}
