"""Images read one by one when a batch needs them, by a few threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import torch
from PIL import Image
from torch import Tensor

from nascc.nas.tasks.augmentation import Augmentation
from nascc.nas.tasks.decoding import converted
from nascc.nas.tasks.preprocessing import Preprocessing, pixels
from nascc.nas.tasks.task import Images

Read = Callable[[int], Image.Image]


class Pictures(Images):
    """`read(index)` gives an image of any size and mode."""

    slow = True

    def __init__(self, read: Read, preprocessing: Preprocessing, augmentation: Augmentation, workers: int = 4) -> None:
        self.read, self.preprocessing, self.augmentation, self.workers = read, preprocessing, augmentation, workers

    def batch(self, indices: Tensor, generator: torch.Generator | None) -> Tensor:
        """See Images. All draws are made before the threads start, so their order does not matter."""
        if generator is None:
            prepared = self._pool.map(self._plain, indices.tolist())
        else:
            draws = self.augmentation.draw(len(indices), generator).tolist()
            prepared = self._pool.map(self._augmented, indices.tolist(), draws)
        return self.preprocessing.normalise(torch.stack(list(prepared)))

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.workers, thread_name_prefix="images")

    def _read(self, index: int) -> Image.Image:
        return converted(self.read(index), self.preprocessing.channels)

    def _plain(self, index: int) -> Tensor:
        return pixels(self.preprocessing.fit(self._read(index)))

    def _augmented(self, index: int, draws: list[float]) -> Tensor:
        image = self._read(index)
        if self.augmentation.crop == "resized":
            image = self.augmentation.window(image, self.preprocessing.size, draws)
        else:
            image = self.preprocessing.fit(image)
        if self.augmentation.crop == "padded":
            image = self.augmentation.shifted(image, draws)
        return pixels(self.augmentation.coloured(image, draws))
