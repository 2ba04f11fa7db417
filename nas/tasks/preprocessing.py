"""How an 8-bit image becomes the input of a network, as data: what deployment must repeat."""

from typing import Annotated, Literal

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

Side = Annotated[int, Field(ge=8, le=4096)]
Channels = Literal[1, 3]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY_MEAN, GREY_STD = (0.449,), (0.226,)


class Preprocessing(BaseModel):
    """Resize until `size` / `crop` is covered, crop the centre, divide by 255, subtract `mean`, divide by `std`.

    `size` is (H, W) in pixels; `mean` and `std` have one number a channel. Resizing is bilinear, with antialiasing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    channels: Channels = 3
    size: tuple[Side, Side] = (224, 224)
    crop: Annotated[float, Field(gt=0.1, le=1)] = 0.875
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[Annotated[float, Field(gt=0)], ...] = IMAGENET_STD

    @model_validator(mode="after")
    def _one_number_a_channel(self) -> "Preprocessing":
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(f"mean and std must have {self.channels} numbers, got {self.mean} and {self.std}")
        return self

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        return self.channels, *self.size

    def fit(self, image: Image.Image, resampling: Image.Resampling = Image.Resampling.BILINEAR) -> Image.Image:
        """An image of any size -> one of `size`."""
        height, width = self.size
        scale = max(height / image.height, width / image.width) / self.crop
        across, down = max(width, round(image.width * scale)), max(height, round(image.height * scale))
        if (across, down) != image.size:
            image = image.resize((across, down), resampling)
        left, top = (across - width) // 2, (down - height) // 2
        return image.crop((left, top, left + width, top + height))

    def normalise(self, pixels: Tensor) -> Tensor:
        """uint8 [N, C, H, W] -> float32 of the same shape."""
        scale = torch.tensor([255 * std for std in self.std]).reshape(1, -1, 1, 1)
        shift = torch.tensor([255 * mean for mean in self.mean]).reshape(1, -1, 1, 1)
        return (pixels.to(torch.float32) - shift) / scale


def default_statistics(channels: Channels) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of photographs (ImageNet's), or of grey ones."""
    return (IMAGENET_MEAN, IMAGENET_STD) if channels == 3 else (GREY_MEAN, GREY_STD)


def pixels(image: Image.Image) -> Tensor:
    """An image -> uint8 [C, H, W]."""
    array = np.array(image, dtype=np.uint8)
    return torch.from_numpy(array.reshape(image.height, image.width, -1)).permute(2, 0, 1)
