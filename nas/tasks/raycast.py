"""Where rays meet boxes: depths that are exact up to rounding, for many scenes at once.

Only additions, multiplications, divisions and roots, which every machine rounds the same way.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Indices = NDArray[np.int8]

TINY = np.float32(1e-9)
"""What stands for a direction of exactly 0, which could not be divided by."""

NEAREST = np.float32(0.05)
"""Metres before which nothing is seen."""


@dataclass(frozen=True, eq=False)
class Boxes:
    """One box in each of n scenes: centres [3, n], half sizes [3, n], (cosine, sine) [2, n] of its turn about y.

    A plane is a box with a half size of 0, or a wall of a box that is seen from inside.
    """

    centres: Floats
    halves: Floats
    turns: Floats


@dataclass(frozen=True, eq=False)
class Hits:
    """Where m rays in each of n scenes meet a box: depths [n, m] (infinite: nowhere), axis of the face that is met.

    `places` [2, n, m] are metres along the two other axes of the box, from its centre.
    """

    depths: Floats
    axes: Indices
    places: Floats


def pinhole(count: int, height: int, width: int, focal: float) -> Floats:
    """Rays [3, count, H * W] of cameras that look along z, x to the right and y up; `focal` in image widths.

    A ray's z is 1, so that what it meets has the depth by which it is multiplied.
    """
    across = (np.arange(width, dtype=np.float32) + np.float32(0.5 - width / 2)) / np.float32(width * focal)
    down = (np.arange(height, dtype=np.float32) + np.float32(0.5 - height / 2)) / np.float32(width * focal)
    rays = np.ones((3, count, height, width), dtype=np.float32)
    rays[0], rays[1] = across, -down[:, None]
    return rays.reshape(3, count, -1)


def tilted(rays: Floats, turns: Floats) -> Floats:
    """Rays [3, n, m] turned about x, downwards for a positive sine; `turns` [2, n] are (cosine, sine)."""
    (cos, sin), (x, y, z) = turns[..., None], rays
    return np.stack([x, cos * y - sin * z, cos * z + sin * y])


def meet(boxes: Boxes, origins: Floats, rays: Floats, inside: bool = False) -> Hits:
    """Where rays [3, n, m] from `origins` [3, n] first meet the box, or last, where they start `inside` it."""
    start = _turned((origins - boxes.centres)[..., None], boxes.turns)
    along = _turned(rays, boxes.turns)
    along[along == 0] = TINY
    halves = boxes.halves[..., None]
    first, second = (-halves - start) / along, (halves - start) / along
    leave = np.maximum(first, second)
    out = leave.min(axis=0)
    times = leave if inside else np.minimum(first, second, out=first)
    depths = out if inside else times.max(axis=0)
    met = (depths > NEAREST) & (depths <= out)
    axes = _first_equal(times, depths)
    points = start + along * np.where(met, depths, np.float32(0))
    return Hits(np.where(met, depths, np.float32(np.inf)), axes, _others(points, axes))


def _turned(vectors: Floats, turns: Floats) -> Floats:
    """Vectors [3, n, m] in the frames of things that are turned about y."""
    (cos, sin), (x, y, z) = turns[..., None], vectors
    return np.stack([cos * x - sin * z, y, sin * x + cos * z])


def _first_equal(times: Floats, time: Floats) -> Indices:
    """The first of three axes whose time [3, n, m] is that of the face [n, m]."""
    return np.where(times[0] == time, 0, np.where(times[1] == time, 1, 2)).astype(np.int8)


def _others(points: Floats, axes: Indices) -> Floats:
    """The two coordinates [2, n, m] of points [3, n, m] that are not along `axes` [n, m]."""
    x, y, z = points
    return np.stack([np.where(axes == 0, y, x), np.where(axes == 2, y, z)])
