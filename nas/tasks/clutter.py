"""Draws cluttered digits: sheared digits at random places among fragments of others, under noise.

Whole numbers only, so that the images are the same bit for bit on every machine.
"""

import numpy as np
from numpy.typing import NDArray

from nascc.nas.tasks.raw_random import Integers, RawRandom

SIDE = 24
"""Pixels of an image in each direction."""

INK, UPSCALED = 16, 16
"""The darkest value and the side of an upscaled source digit; interpolation in two directions takes 16 times INK."""

FULL = INK * 16 * 16
"""A digit's value after both interpolations: contrast 1."""

SHEAR = 5
"""Largest shear, in sixteenths of a pixel a row."""

FRAGMENTS, SMALLEST, FRAGMENT = 4, 3, 5
"""How many fragments lie over an image, and the least and largest side of one."""

PAPER, RANGE = 48, 160
"""Grey of the background, and what full contrast adds to it."""

NOISE = 133
"""Noise of 0.15 of FULL: 0.15 * 4096 / 147.8 in 32nds."""

Greys = NDArray[np.uint8]


def upscaled(digits: Integers) -> Integers:
    """Digits [m, 8, 8] of 0 to 16 -> [m, 16, 16] of 0 to 256, bilinear."""
    for axis in (1, 2):
        first, last = np.take(digits, [0], axis), np.take(digits, [-1], axis)
        before = np.concatenate([first, np.delete(digits, -1, axis)], axis)
        after = np.concatenate([np.delete(digits, 0, axis), last], axis)
        pairs = np.stack([3 * digits + before, 3 * digits + after], axis + 1)
        shape = list(digits.shape)
        shape[axis] *= 2
        digits = pairs.reshape(shape)
    return digits


def draw_images(sources: Integers, picked: Integers, random: RawRandom) -> Greys:
    """One image [n, 24, 24] for each digit `picked` [n] of the upscaled `sources` [m, 16, 16]; so is the clutter."""
    images = _placed(sources[picked], random)
    for _ in range(FRAGMENTS):
        _add_fragments(images, sources, random)
    contrast = 154 + random.below(103, len(picked), 1, 1)  # 0.6 to 1, in 256ths
    noisy = (images * contrast >> 8) + (random.noise(*images.shape) * NOISE >> 5)
    greys: Greys = np.clip(PAPER + (noisy * RANGE // FULL), 0, 255).astype(np.uint8)
    return greys


def _placed(digits: Integers, random: RawRandom) -> Integers:
    """Each digit [n, 16, 16] sheared and put at a random place of [n, 24, 24]; values up to FULL."""
    count, free = len(digits), SIDE - UPSCALED + 1
    top, left = random.below(free, count, 1, 1), random.below(free, count, 1, 1)
    shear = random.below(2 * SHEAR + 1, count, 1, 1) - SHEAR
    padded = np.pad(digits, ((0, 0), (1, 1), (2, 2)))
    rows = np.arange(SIDE)[None, :, None] - top
    columns = 16 * (np.arange(SIDE)[None, None, :] - left) - shear * (2 * rows - UPSCALED + 1) // 2
    whole, part = columns >> 4, columns & 15
    row = np.clip(rows, -1, UPSCALED) + 1
    image = np.arange(count)[:, None, None]
    near = padded[image, row, np.clip(whole, -2, UPSCALED + 1) + 2]
    far = padded[image, row, np.clip(whole + 1, -2, UPSCALED + 1) + 2]
    placed: Integers = (16 - part) * near + part * far
    return placed


def _add_fragments(images: Integers, sources: Integers, random: RawRandom) -> None:
    """Lay a small window of another digit over each image, in place."""
    count, window = len(images), np.arange(FRAGMENT)
    whose = random.below(len(sources), count, 1, 1)
    high, wide = (SMALLEST + random.below(FRAGMENT - SMALLEST + 1, count, 1, 1) for _ in range(2))
    inside = [random.below(UPSCALED - FRAGMENT + 1, count, 1, 1) for _ in range(2)]
    at = [random.below(SIDE - FRAGMENT + 1, count, 1, 1) for _ in range(2)]
    rows, columns = window[None, :, None], window[None, None, :]
    patch = 16 * sources[whose, inside[0] + rows, inside[1] + columns] * ((rows < high) & (columns < wide))
    place = (np.arange(count)[:, None, None], at[0] + rows, at[1] + columns)
    images[place] = np.maximum(images[place], patch)
