"""Reads depth maps: 16-bit PNG in millimetres, or .npy in metres."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nascc.nas.errors import BadData
from nascc.nas.tasks.decoding import decode

DEPTH_SUFFIXES = frozenset((".png", ".npy"))
MILLIMETRES = 1000.0
Map = NDArray[np.float32]


def read_depth(path: Path) -> Map:
    """Depths [H, W] in metres, 0 where unknown: where the file has 0, a negative number, an infinity or no number.

    Raises BadData, which names a file that can not be read or is none of the two.
    """
    stored = _stored_npy(path) if path.suffix.lower() == ".npy" else _stored_png(path) / MILLIMETRES
    depths: Map = stored.astype(np.float32)
    depths[~np.isfinite(depths) | (depths < 0)] = 0
    return depths


def _stored_png(path: Path) -> NDArray[np.float64]:
    image = decode(path, upright=False)
    if not image.mode.startswith("I"):
        raise BadData(f"'{path}' must be a PNG of 16 bits in millimetres, found mode {image.mode}; or write .npy files")
    return np.asarray(image, dtype=np.float64)


def _stored_npy(path: Path) -> NDArray[np.generic]:
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise BadData(f"'{path}' must be a .npy file that can be read, but: {error}; repair or remove it") from error
    if not isinstance(stored, np.ndarray) or stored.ndim != 2 or stored.dtype.kind != "f":
        kind = f"{stored.dtype} {list(stored.shape)}" if isinstance(stored, np.ndarray) else "an archive"
        raise BadData(f"'{path}' must hold floating-point metres, [H, W], found {kind}")
    return stored


def as_image(depths: Map) -> Image.Image:
    """Depths [H, W] as an image of mode F, which can be resized and cropped as its picture is."""
    return Image.fromarray(depths)
