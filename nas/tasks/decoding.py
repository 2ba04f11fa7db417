"""Opens image files: what their headers tell, and their pixels in one mode whatever they are stored in."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from nascc.nas.errors import BadData
from nascc.nas.tasks.preprocessing import Channels

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"))
"""What counts as an image file; others are passed over."""

MODES: dict[Channels, str] = {1: "L", 3: "RGB"}
BROKEN = (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Header:
    """Mode (`RGB`, `L`, `CMYK`, ...) and size (W, H) of a stored image."""

    mode: str
    size: tuple[int, int]


def read_header(path: Path) -> Header | None:
    """What an image file says of itself; None when it is no image, or one of floating-point numbers."""
    try:
        with Image.open(path) as image:
            return None if image.mode == "F" else Header(image.mode, image.size)
    except BROKEN:
        return None


def decode(path: Path, upright: bool = True) -> Image.Image:
    """The first frame in the mode it is stored in, turned as its header asks if it is to be `upright`.

    Raises BadData, which names a damaged file.
    """
    try:
        with Image.open(path) as image:
            image.load()
            return ImageOps.exif_transpose(image) if upright else image.copy()
    except BROKEN as error:
        raise BadData(f"'{path}' must be an image that can be decoded, but: {error}; repair or remove it") from error


def converted(image: Image.Image, channels: Channels) -> Image.Image:
    """An image of any mode in mode `L` or `RGB`; 16-bit greys lose their low byte, transparency is dropped."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))
    elif "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == MODES[channels] else image.convert(MODES[channels])
