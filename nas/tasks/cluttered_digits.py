"""The embedded task: ten handwritten digits among clutter, generated from scikit-learn's in a second.

The source digits are divided among the splits before anything is generated, so no split has seen another's digits.
"""

import hashlib

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nascc.nas.errors import BadData
from nascc.nas.tasks.classes import choose_classes
from nascc.nas.tasks.clutter import SIDE, Greys, draw_images, upscaled
from nascc.nas.tasks.config import DIGITS, TaskConfig
from nascc.nas.tasks.division import divide
from nascc.nas.tasks.preprocessing import Preprocessing
from nascc.nas.tasks.raw_random import Integers, RawRandom
from nascc.nas.tasks.task import Images, Task, splits_of

SOURCES = {"weights": 540, "alpha": 540, "valid": 120, "test": 597}
"""How many of the 1,797 source digits each split is generated from, about."""

MEAN, STD = (0.27,), (0.171,)


class StoredImages(Images):
    """Images in memory, uint8 [n, C, H, W]; there is no augmentation, the generator has drawn enough."""

    def __init__(self, stored: Tensor, preprocessing: Preprocessing) -> None:
        self.stored, self.preprocessing = stored, preprocessing

    def batch(self, indices: Tensor, generator: torch.Generator | None) -> Tensor:
        return self.preprocessing.normalise(self.stored[indices])


def cluttered_digits(config: TaskConfig) -> Task:
    """The task for a config whose `data` is `cluttered_digits`; equal configs give equal bits.

    Raises BadData for classes that are no digits, and for colour, crops or augmentation, which it has not.
    """
    _check(config)
    digits, labels = _source_digits()
    classes = choose_classes(config.classes, [str(digit) for digit in range(10)], config.seed)
    kept = np.isin(labels, [int(name) for name in classes])
    digits, labels = digits[kept], np.searchsorted([int(name) for name in classes], labels[kept]).astype(np.int32)
    images, targets, members = _generate(digits, labels, classes, config)
    resolution = config.resolution or (SIDE, SIDE)
    preprocessing = Preprocessing(
        channels=1, size=resolution, crop=1.0, mean=config.mean or MEAN, std=config.std or STD
    )
    resolved = config.model_copy(
        update={
            "classes": classes,
            "resolution": resolution,
            "channels": 1,
            "crop": 1.0,
            "mean": preprocessing.mean,
            "std": preprocessing.std,
            "fingerprint": hashlib.sha256(images.tobytes()).hexdigest(),
        }
    )
    stored = StoredImages(_resized(images, resolution), preprocessing)
    return Task(DIGITS, resolved, classes, preprocessing, splits_of(stored, targets, members))


def _check(config: TaskConfig) -> None:
    given = {"channels": config.channels in (None, 1), "crop": config.crop in (None, 1.0)}
    given["augmentation"] = config.augmentation is None
    if wrong := [name for name, fine in given.items() if not fine]:
        raise BadData(f"{DIGITS} are grey, whole and drawn at random already, got {', '.join(wrong)}; leave them out")


def _source_digits() -> tuple[Integers, Integers]:
    """1,797 digits [m, 8, 8] of 0 to 16, and what they show [m]."""
    from sklearn.datasets import load_digits  # takes a second, and only this task needs it

    bunch = load_digits()
    return bunch.images.astype(np.int32), bunch.target.astype(np.int32)


def _generate(
    digits: Integers, labels: Integers, classes: tuple[str, ...], config: TaskConfig
) -> tuple[Greys, Tensor, dict[str, Tensor]]:
    """Images [n, 24, 24] of all splits, their labels [n], and the indices of each split."""
    groups = np.unique(digits.reshape(len(digits), -1), axis=0, return_inverse=True)[1].ravel()
    sources = divide(labels.tolist(), groups.tolist(), SOURCES, config.seed, classes)
    images, targets, members, start = [], [], {}, 0
    for split, count in config.sizes.model_dump().items():
        own = sources[split].numpy()
        random = RawRandom(config.seed, DIGITS, split)
        picked = np.resize(random.order(len(own)), count)[random.order(count)].astype(np.int32)
        images.append(draw_images(upscaled(digits[own]), picked, random))
        targets.append(torch.from_numpy(labels[own][picked].astype(np.int64)))
        members[split] = torch.arange(start, start + count)
        start += count
    return np.concatenate(images), torch.cat(targets), members


def _resized(images: Greys, resolution: tuple[int, int]) -> Tensor:
    """uint8 [n, 24, 24] -> [n, 1, H, W]."""
    stored = torch.from_numpy(images)[:, None]
    if resolution == (SIDE, SIDE):
        return stored
    exact = F.interpolate(stored.float(), resolution, mode="bilinear", align_corners=False, antialias=True)
    return exact.round().clamp(0, 255).to(torch.uint8)
