"""Random changes of training images: their parameters are data, their draws come from a generator."""

import math
from typing import Annotated, Literal

import torch
from PIL import Image, ImageEnhance, ImageOps
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
DRAWS = 8
"""Uniform numbers that one image takes, whatever is done with them."""


class Augmentation(BaseModel):
    """`crop` and flip and colours, in this order.

    `resized` cuts a window whose area is a share in `scale` of the image and whose width / height is in `ratio`, then
    resizes it; `padded` adds a share `padding` of the size in zeros at each side of the centre crop, then cuts the
    size out; `none` is the centre crop. `jitter` j multiplies brightness, contrast and saturation by 1 - j to 1 + j.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    crop: Literal["resized", "padded", "none"] = "resized"
    scale: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = (0.08, 1.0)
    ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    padding: Share = 0.125
    flip: Share = 0.5
    jitter: Share = 0.4

    def draw(self, images: int, generator: torch.Generator) -> Tensor:
        """Uniform numbers [images, DRAWS] for `window`, `flipped` and `coloured`."""
        return torch.rand(images, DRAWS, generator=generator)

    def window(self, image: Image.Image, size: tuple[int, int], draws: list[float]) -> Image.Image:
        """The `resized` crop of an image, of `size` (H, W)."""
        low, high = self.scale
        area = image.width * image.height * (low + (high - low) * draws[0])
        first, last = map(math.log, self.ratio)
        shape = math.exp(first + (last - first) * draws[1])
        width = min(image.width, max(1, round(math.sqrt(area * shape))))
        height = min(image.height, max(1, round(math.sqrt(area / shape))))
        left, top = int(draws[2] * (image.width - width + 1)), int(draws[3] * (image.height - height + 1))
        box = (left, top, left + width, top + height)
        return image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)

    def shifted(self, image: Image.Image, draws: list[float]) -> Image.Image:
        """The `padded` crop of an image that has its size already."""
        width, height = image.size
        across, down = round(width * self.padding), round(height * self.padding)
        left, top = int(draws[2] * (2 * across + 1)) - across, int(draws[3] * (2 * down + 1)) - down
        return image.crop((left, top, left + width, top + height))

    def coloured(self, image: Image.Image, draws: list[float]) -> Image.Image:
        """The image flipped and with its colours changed."""
        if draws[4] < self.flip:
            image = ImageOps.mirror(image)
        if self.jitter == 0:
            return image
        factors = [1 + self.jitter * (2 * draw - 1) for draw in draws[5:]]
        image = ImageEnhance.Brightness(image).enhance(factors[0])
        image = ImageEnhance.Contrast(image).enhance(factors[1])
        return image if image.mode == "L" else ImageEnhance.Color(image).enhance(factors[2])
