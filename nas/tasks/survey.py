"""Images before they are divided: their classes, which of them are equal, and what they look like."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nascc.nas.tasks.augmentation import Augmentation
from nascc.nas.tasks.config import TaskConfig
from nascc.nas.tasks.decoding import Header
from nascc.nas.tasks.preprocessing import Preprocessing, default_statistics

LARGEST_NATIVE, USUAL = 256, 224
"""Images of one size up to the first number of pixels keep it; others get the second."""

SMALL = 100
"""Below this many pixels a resized crop takes too much away: images are padded and shifted instead."""

GREY_MODES = ("1", "L", "I", "I;16", "I;16B", "I;16L")


@dataclass(frozen=True)
class Survey:
    """What is known of n images: label and folder of each, the group of its equals, its header.

    `held` names the split an image is kept for (`test`, `valid`), or is empty. `keys` tell images apart, for the
    fingerprint.
    """

    classes: tuple[str, ...]
    labels: Sequence[int]
    groups: Sequence[int]
    held: Sequence[str]
    headers: Sequence[Header]
    keys: Sequence[str]


def resolve(config: TaskConfig, survey: Survey) -> tuple[TaskConfig, Preprocessing, Augmentation]:
    """The config with all that followed from the images filled in, and what it says."""
    channels = config.channels or (1 if all(header.mode in GREY_MODES for header in survey.headers) else 3)
    height, width = config.resolution or _native(survey.headers)
    small = max(height, width) < SMALL
    mean, std = default_statistics(channels)
    preprocessing = Preprocessing(
        channels=channels,
        size=(height, width),
        crop=config.crop or (1.0 if small else 0.875),
        mean=config.mean or mean,
        std=config.std or std,
    )
    augmentation = config.augmentation or (Augmentation(crop="padded", jitter=0) if small else Augmentation())
    resolved = config.model_copy(
        update={
            "classes": survey.classes,
            "resolution": (height, width),
            "channels": channels,
            "crop": preprocessing.crop,
            "mean": preprocessing.mean,
            "std": preprocessing.std,
            "augmentation": augmentation,
            "fingerprint": fingerprint(survey),
        }
    )
    return resolved, preprocessing, augmentation


def fingerprint(survey: Survey) -> str:
    """A hash of which images there are, with their classes and folders."""
    digest = hashlib.sha256("\n".join(survey.classes).encode())
    for key, label, held in sorted(zip(survey.keys, survey.labels, survey.held, strict=True)):
        digest.update(f"\n{key}\t{label}\t{held}".encode())
    return digest.hexdigest()


def conversion_note(survey: Survey, channels: int) -> tuple[str, ...]:
    """One sentence on the images that are stored otherwise than the network takes them; none when all agree."""
    wanted = "RGB" if channels == 3 else "L"
    others = Counter(header.mode for header in survey.headers if header.mode != wanted)
    if not others:
        return ()
    kinds = ", ".join(f"{count} {mode}" for mode, count in others.most_common())
    return (f"{others.total()} of {len(survey.headers)} images are converted to {wanted}: {kinds}",)


def _native(headers: Sequence[Header]) -> tuple[int, int]:
    """(H, W)."""
    sizes = {header.size for header in headers}
    width, height = next(iter(sizes))
    if len(sizes) == 1 and min(width, height) >= 8 and max(width, height) <= LARGEST_NATIVE:
        return height, width
    return USUAL, USUAL
