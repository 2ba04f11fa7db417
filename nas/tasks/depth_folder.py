"""A folder of images with depth maps: `rgb/NAME.jpg` beside `depth/NAME.png`, or the same in `train`, `val`, `test`."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nascc.nas.errors import BadData
from nascc.nas.tasks.augmentation import Augmentation
from nascc.nas.tasks.config import DEPTH_FOLDER, TaskConfig
from nascc.nas.tasks.decoding import SUFFIXES, Header, converted, decode
from nascc.nas.tasks.depth_files import DEPTH_SUFFIXES, as_image, read_depth
from nascc.nas.tasks.depth_pairs import CLASSES, Pairs, depth_splits
from nascc.nas.tasks.equals import groups_of_equals, in_threads
from nascc.nas.tasks.image_folder import files_under, headers_of, held_roots
from nascc.nas.tasks.preprocessing import Preprocessing, pixels
from nascc.nas.tasks.splitting import members_of
from nascc.nas.tasks.survey import Survey, conversion_note, resolve
from nascc.nas.tasks.task import Task

IMAGES, DEPTHS = "rgb", "depth"
SHOWN = 5
FLIP = 4
"""Which of an augmentation's draws decides whether an image is mirrored."""


@dataclass(frozen=True)
class Pair:
    """An image, its depth map, and the split they are held out for (empty: to be divided)."""

    image: Path
    depth: Path
    held: str


class FolderPairs(Pairs):
    """Files that are read when a batch needs them, by a few threads; an augmentation mirrors and changes colours."""

    slow = True

    def __init__(
        self, found: Sequence[Pair], preprocessing: Preprocessing, augmentation: Augmentation, workers: int
    ) -> None:
        self.found, self.preprocessing, self.augmentation = found, preprocessing, augmentation
        self.workers = workers

    def pairs(self, indices: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """See Pairs. All draws are made before the threads start, so their order does not matter."""
        draws: list[list[float] | None] = [None] * len(indices)
        if generator is not None:
            draws = [*self.augmentation.draw(len(indices), generator).tolist()]
        images, depths = zip(*self._pool.map(self._read, indices.tolist(), draws), strict=True)
        return self.preprocessing.normalise(torch.stack(images)), torch.stack(depths)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.workers, thread_name_prefix="depths")

    def _read(self, index: int, draws: list[float] | None) -> tuple[Tensor, Tensor]:
        """uint8 [C, H, W] and float32 [1, H, W], cut and mirrored alike."""
        pair, prepare = self.found[index], self.preprocessing
        image = prepare.fit(converted(decode(pair.image, upright=False), prepare.channels))
        fitted = prepare.fit(as_image(read_depth(pair.depth)), Image.Resampling.NEAREST)
        depths = torch.from_numpy(np.array(fitted))[None]
        if draws is None:
            return pixels(image), depths
        mirrored = draws[FLIP] < self.augmentation.flip
        return pixels(self.augmentation.coloured(image, draws)), depths.flip(-1) if mirrored else depths


def depth_folder(config: TaskConfig, workers: int = 4) -> Task:
    """The task of a config whose `data` is `depth_folder:PATH`.

    Depth maps are PNG files of 16 bits in millimetres, 0 where unknown, or .npy files in metres, of the size of their
    images. A held-out `test` folder becomes `test`, `val` becomes `valid` beside it. Images are resized, depth maps
    take the nearest pixel. A config without fingerprint has every depth map read once. Raises BadData: no such folder,
    files without partner, unreadable ones, other sizes, maps without a known depth, too few pairs.
    """
    root = Path(config.data.removeprefix(DEPTH_FOLDER)).expanduser().resolve()
    found = _pairs(root)
    augmentation = config.augmentation or Augmentation(crop="none")
    _check(config, augmentation)
    headers = headers_of([pair.image for pair in found], workers)
    if config.fingerprint is None:
        _check_depths(found, headers, workers)
    survey = _survey(root, found, headers, workers)
    data = f"{DEPTH_FOLDER}{root}"
    config, preprocessing, augmentation = resolve(
        config.model_copy(update={"data": data, "augmentation": augmentation}), survey
    )
    members, notes = members_of(survey, config)
    pairs = FolderPairs(found, preprocessing, augmentation, workers)
    notes = conversion_note(survey, preprocessing.channels) + notes
    return Task(root.name, config, CLASSES, preprocessing, depth_splits(pairs, len(found), members), notes)


def _check(config: TaskConfig, augmentation: Augmentation) -> None:
    if config.classes not in ("all", CLASSES):
        raise BadData("a task of depths has no classes to choose from; leave --classes out")
    if augmentation.crop != "none":
        raise BadData(
            f"an augmentation of depths must not change sizes, on which depths are read off: crop must be 'none', "
            f"got '{augmentation.crop}'"
        )


def _survey(root: Path, found: Sequence[Pair], headers: Sequence[Header], workers: int) -> Survey:
    images = [pair.image for pair in found]
    sizes = [path.stat().st_size for path in images]
    return Survey(
        classes=CLASSES,
        labels=[0] * len(found),
        groups=groups_of_equals(images, sizes, workers),
        held=[pair.held for pair in found],
        headers=headers,
        keys=[
            f"{pair.image.relative_to(root).as_posix()} {size} {pair.depth.suffix} {pair.depth.stat().st_size}"
            for pair, size in zip(found, sizes, strict=True)
        ],
    )


def _pairs(root: Path) -> list[Pair]:
    """Every image with its depth map. Raises BadData where there are none, or one is alone."""
    if not root.is_dir():
        raise BadData(
            f"'{DEPTH_FOLDER}' must be followed by a folder that holds '{IMAGES}' and '{DEPTHS}', found "
            f"{'a file' if root.exists() else 'nothing'} at '{root}'"
        )
    return [pair for held, folder in held_roots(root) for pair in _pairs_of(folder, held)]


def _pairs_of(folder: Path, held: str) -> list[Pair]:
    images, depths = _by_name(folder / IMAGES, SUFFIXES), _by_name(folder / DEPTHS, DEPTH_SUFFIXES)
    if not images:
        raise BadData(f"'{folder / IMAGES}' must hold images with depth maps in '{folder / DEPTHS}', found none")
    alone = [images.get(name) or depths[name] for name in sorted(images.keys() ^ depths.keys())]
    _refuse(alone, "every image must have a depth map of the same name, and the other way round", "without a partner")
    return [Pair(images[name], depths[name], held) for name in images]


def _by_name(folder: Path, suffixes: frozenset[str]) -> dict[str, Path]:
    """Files by their path without suffix. Raises BadData for two of one name."""
    files = files_under(folder, suffixes)
    found = {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}
    _refuse([path for path in files if path not in found.values()], "every name must be used once", "used again")
    return found


def _check_depths(found: Sequence[Pair], headers: Sequence[Header], workers: int) -> None:
    """Raises BadData for maps of another size than their image, and for maps that tell nothing."""
    maps = in_threads(lambda index: _told(found[index].depth), range(len(found)), workers)
    named: Callable[[list[bool]], list[Path]] = lambda wrong: [  # noqa: E731
        pair.depth for pair, bad in zip(found, wrong, strict=True) if bad
    ]
    other = named([size != header.size for (size, _), header in zip(maps, headers, strict=True)])
    _refuse(other, "a depth map must have the size of its image", "that have another")
    empty = named([not known for _, known in maps])
    _refuse(empty, "a depth map must tell the depth of some pixel", "that tell none")


def _told(path: Path) -> tuple[tuple[int, int], bool]:
    """Size (W, H) of a depth map, and whether any depth in it is known."""
    depths = read_depth(path)
    return (depths.shape[1], depths.shape[0]), bool((depths > 0).any())


def _refuse(wrong: Sequence[Path], rule: str, what: str) -> None:
    """Raise BadData, which names the first files, when there are some."""
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        shown = ", ".join(str(path) for path in wrong[:SHOWN])
        raise BadData(f"{rule}, found {len(wrong)} {what}: {shown}{more}; add, repair or remove them")
