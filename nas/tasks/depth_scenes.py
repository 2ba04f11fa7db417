"""The embedded task for depths: rooms with boxes and panels, generated in seconds, with exact depths."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from nascc.nas.errors import BadData
from nascc.nas.tasks.config import DEPTH_SCENES, Sizes, TaskConfig
from nascc.nas.tasks.depth_pairs import CLASSES, StoredPairs, depth_splits
from nascc.nas.tasks.preprocessing import Preprocessing
from nascc.nas.tasks.raw_random import RawRandom
from nascc.nas.tasks.raycast import Floats
from nascc.nas.tasks.scenes import Bytes, draw_scenes
from nascc.nas.tasks.task import Task

SIDE = 48
"""Pixels of an image in each direction unless told otherwise."""

SIZES = Sizes(weights=1600, alpha=800, valid=200, test=600)
"""Scenes generated for each split unless told otherwise."""

MEAN, STD = (0.29, 0.29, 0.29), (0.107, 0.107, 0.107)


def depth_scenes(config: TaskConfig) -> Task:
    """The task for a config whose `data` is `depth_scenes`; equal configs give equal bits.

    Every split is drawn from a stream of its own, so that none shares a scene with another. Raises BadData for classes,
    grey images, crops and augmentation, which it has not.
    """
    _check(config)
    sizes = config.sizes if "sizes" in config.model_fields_set else SIZES
    height, width = config.resolution or (SIDE, SIDE)
    parts = {
        split: draw_scenes(count, height, width, RawRandom(config.seed, DEPTH_SCENES, split))
        for split, count in sizes.model_dump().items()
    }
    images, depths = (np.concatenate([part[i] for part in parts.values()]) for i in range(2))
    preprocessing = Preprocessing(
        channels=3, size=(height, width), crop=1.0, mean=config.mean or MEAN, std=config.std or STD
    )
    resolved = config.model_copy(
        update={
            "classes": CLASSES,
            "resolution": (height, width),
            "channels": 3,
            "crop": 1.0,
            "mean": preprocessing.mean,
            "std": preprocessing.std,
            "sizes": sizes,
            "fingerprint": _fingerprint(images, depths),
        }
    )
    pairs = StoredPairs(torch.from_numpy(images), torch.from_numpy(depths), preprocessing)
    splits = depth_splits(pairs, len(images), _members(sizes))
    return Task(DEPTH_SCENES, resolved, CLASSES, preprocessing, splits)


def _check(config: TaskConfig) -> None:
    given = {"channels": config.channels in (None, 3), "crop": config.crop in (None, 1.0)}
    given |= {"classes": config.classes in ("all", CLASSES), "augmentation": config.augmentation is None}
    if wrong := [name for name, fine in given.items() if not fine]:
        raise BadData(f"{DEPTH_SCENES} are coloured, whole and drawn at random, got {', '.join(wrong)}; leave them out")


def _members(sizes: Sizes) -> dict[str, Tensor]:
    """Indices of each split, one after the other."""
    ends = np.cumsum(list(sizes.model_dump().values())).tolist()
    return {
        split: torch.arange(end - count, end)
        for (split, count), end in zip(sizes.model_dump().items(), ends, strict=True)
    }


def _fingerprint(images: Bytes, depths: Floats) -> str:
    digest = hashlib.sha256(images.tobytes())
    digest.update(depths.astype("<f4").tobytes())
    return digest.hexdigest()
