"""Draws rooms with boxes and panels, all textured, as a camera sees them, and how far away each pixel is.

The bits follow from the seed alone: whole random numbers, and arithmetic that every machine rounds the same way.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nascc.nas.tasks.raw_random import RawRandom
from nascc.nas.tasks.raycast import Boxes, Floats, Indices, meet, pinhole, tilted

NEAR, FAR = 0.5, 10.0
"""Metres between which a depth is known."""

FOCAL = 0.75
"""Focal length in image widths: 67 degrees are seen across."""

FURNITURE, PANELS = 3, 1
"""Boxes that stand on the floor and planes that hang in the room, in every scene."""

CHUNK = 64
"""Scenes drawn at once: more take memory, fewer take time."""

NOISE = 8
"""Standard deviation of the camera's noise, in grey levels; a RawRandom's is 147.8."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Look:
    """How one box of n scenes looks: colours [3, n], cells [n] in metres, contrast, share of noise and keys [n]."""

    colours: Floats
    cells: Floats
    contrast: Floats
    mixture: Floats
    keys: NDArray[np.uint32]


@dataclass(frozen=True, eq=False)
class Scenes:
    """n cameras in n rooms: they stand at `origins` [3, n], the floor at 0; the first of `boxes` is the room itself."""

    origins: Floats
    tilts: Floats
    boxes: tuple[Boxes, ...]
    looks: tuple[Look, ...]
    light: Floats
    """Brightness [3, n] of faces across x, y and z."""
    reach: Floats
    """Metres [n] at which the light has half its strength."""


def draw_scenes(count: int, height: int, width: int, random: RawRandom) -> tuple[Bytes, Floats]:
    """Images uint8 [count, 3, height, width], depths float32 [count, 1, height, width] in metres, 0 where unknown."""
    images, depths = zip(*_chunks(count, height, width, random), strict=True)
    return np.concatenate(images), np.concatenate(depths)


def _chunks(count: int, height: int, width: int, random: RawRandom) -> Iterator[tuple[Bytes, Floats]]:
    for start in range(0, count, CHUNK):
        scenes = random_scenes(min(CHUNK, count - start), random)
        colours, depths = seen(scenes, height, width)
        noise = random.noise(*colours.shape).astype(np.float32) * np.float32(NOISE / 147.8)
        images = np.clip(np.floor(colours + noise), 0, 255).astype(np.uint8)
        yield images, depths


def seen(scenes: Scenes, height: int, width: int) -> tuple[Floats, Floats]:
    """Colours [n, 3, height, width] from 0 to 255, and depths [n, 1, height, width], 0 outside of NEAR to FAR."""
    count = scenes.origins.shape[1]
    rays = tilted(pinhole(count, height, width, FOCAL), scenes.tilts)
    nearest = np.full(rays.shape[1:], np.inf, dtype=np.float32)
    colours = np.zeros_like(rays)
    for index, (box, look) in enumerate(zip(scenes.boxes, scenes.looks, strict=True)):
        hits = meet(box, scenes.origins, rays, inside=index == 0)
        closer = hits.depths < nearest
        nearest = np.where(closer, hits.depths, nearest)
        shade = _choice(hits.axes, scenes.light[..., None]) * _pattern(look, hits.places)
        np.copyto(colours, shade * look.colours[..., None], where=closer)
    reach = scenes.reach[:, None]
    colours *= reach / (reach + np.minimum(nearest, np.float32(FAR)))
    known = (nearest >= np.float32(NEAR)) & (nearest <= np.float32(FAR))
    depths = np.where(known, nearest, np.float32(0)).reshape(count, 1, height, width)
    return np.moveaxis(colours.reshape(3, count, height, width), 0, 1), depths


def _choice(axes: Indices, of: Floats) -> Floats:
    """The one of three numbers [3, n, 1] that each axis [n, m] names."""
    chosen: Floats = np.where(axes == 0, of[0], np.where(axes == 1, of[1], of[2]))
    return chosen


def _pattern(look: Look, places: Floats) -> Floats:
    """Brightness [n, m] of a texture at places [2, n, m]: a chequer and random cells, mixed."""
    first, second = np.floor(places / look.cells[:, None]).astype(np.int32).view(np.uint32)
    mixed = first * np.uint32(0x9E3779B1) ^ second * np.uint32(0x85EBCA77) ^ look.keys[:, None]
    mixed = (mixed ^ mixed >> np.uint32(15)) * np.uint32(0xC2B2AE3D)
    random = (mixed >> np.uint32(24)).astype(np.float32) / np.float32(255)
    chequer = ((first + second) & np.uint32(1)).astype(np.float32)
    dark = chequer + look.mixture[:, None] * (random - chequer)
    bright: Floats = 1 - look.contrast[:, None] * dark
    return bright


def random_scenes(count: int, random: RawRandom) -> Scenes:
    """`count` rooms, no two alike."""
    draw = _Draw(count, random)
    tilts = draw.turns(0.0, 0.1)
    room = np.stack([draw.uniform(1.6, 4.5), draw.uniform(1.2, 1.5), draw.uniform(2.0, 5.0)])
    origins = np.stack([np.zeros(count, np.float32), draw.uniform(1.2, 1.6), np.zeros(count, np.float32)])
    centres = np.stack([draw.uniform(-0.7, 0.7) * room[0], room[1], draw.uniform(-0.1, 0.8) * room[2]])
    boxes = [Boxes(centres, room, draw.turns(-0.4, 0.4))]
    boxes += [_furniture(draw) for _ in range(FURNITURE)] + [_panel(draw) for _ in range(PANELS)]
    looks = tuple(_look(draw) for _ in boxes)
    light = np.stack([draw.uniform(0.7, 1.0) for _ in range(3)])
    return Scenes(origins, tilts, tuple(boxes), looks, light, draw.uniform(3.0, 5.0))


def _furniture(draw: "_Draw") -> Boxes:
    halves = np.stack([draw.uniform(0.15, 0.6), draw.uniform(0.1, 0.6), draw.uniform(0.15, 0.6)])
    depth = draw.uniform(1.6, 6.0)
    return Boxes(np.stack([depth * draw.uniform(-0.6, 0.6), halves[1], depth]), halves, draw.turns(-1.0, 1.0))


def _panel(draw: "_Draw") -> Boxes:
    halves = np.stack([draw.uniform(0.2, 0.8), draw.uniform(0.2, 0.6), np.zeros(draw.count, np.float32)])
    depth = draw.uniform(1.6, 6.0)
    centres = np.stack([depth * draw.uniform(-0.5, 0.5), draw.uniform(0.8, 2.0), depth])
    return Boxes(centres, halves, draw.turns(-0.5, 0.5))


def _look(draw: "_Draw") -> Look:
    colours = np.stack([draw.uniform(120.0, 255.0) for _ in range(3)])
    keys = draw.random.below(2**31 - 1, draw.count).astype(np.uint32)
    return Look(colours, draw.uniform(0.2, 0.3), draw.uniform(0.1, 0.6), draw.uniform(0.0, 1.0), keys)


@dataclass(frozen=True)
class _Draw:
    """Numbers for `count` scenes."""

    count: int
    random: RawRandom

    def uniform(self, low: float, high: float) -> Floats:
        """[count] numbers of 24 bits between the bounds."""
        share = self.random.below(2**24, self.count).astype(np.float32) / np.float32(2**24)
        return np.float32(low) + np.float32(high - low) * share

    def turns(self, low: float, high: float) -> Floats:
        """(cosine, sine) [2, count] of angles whose halves have tangents between the bounds; 1 is a right angle."""
        tangent = self.uniform(low, high)
        square = tangent * tangent
        return np.stack([(1 - square) / (1 + square), 2 * tangent / (1 + square)])
