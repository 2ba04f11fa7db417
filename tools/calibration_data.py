"""Inputs of a model that a user brings: arrays of an .npz file, or a folder of images, a folder a class."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nascc.tools.errors import CommandError
from nascc.tools.files import read_arrays

if TYPE_CHECKING:
    from onnx import ModelProto

    from nascc.nas.tasks.preprocessing import Preprocessing
    from nascc.runtime.measure_onnx import Shapes
    from nascc.runtime.runners.base import Array

DRAWN, TAKEN = 4, 64
"""Samples that are drawn where none are given, and the most that are taken of many."""


@dataclass(frozen=True)
class Labelled:
    """Batches of images as the model reads them, and the class of each image; the last batch is filled up."""

    batches: "tuple[dict[str, Array], ...]"
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def samples_of(
    model: "ModelProto", data: Path | None, shapes: "Shapes", seed: int = 0
) -> "tuple[list[dict[str, Array]], tuple[str, ...]]":
    """Inputs to calibrate and compare on, and what is to be said of them. Raises CommandError, BadData."""
    from nascc.runtime.measure_onnx import example_feed
    from nascc.runtime.onnx_ends import input_specs

    specs = input_specs(model)
    if data is None:
        drawn = [example_feed(specs, shapes, seed + k) for k in range(DRAWN)]
        return drawn, ("no --data: calibrated and compared on random inputs, which real ones are not",)
    if data.is_dir():
        found = labelled(model, data, most=TAKEN)
        return list(found.batches), found.warnings
    arrays = read_arrays(data)
    assert arrays is not None
    sizes = {spec.name: (shapes.get(spec.name) or spec.dims or ()) for spec in specs}
    return list(_batches(arrays, sizes)), ()


def _batches(arrays: "dict[str, Array]", sizes: "dict[str, Any]") -> "Iterator[dict[str, Array]]":
    """Arrays cut into samples along the first axis, each of the model's batch size."""
    if missing := sorted(set(sizes) - set(arrays)):
        raise CommandError(f"--data must have an array for every input, found none for {', '.join(missing)}")
    counts = {name: len(arrays[name]) // _batch(dims) for name, dims in sizes.items()}
    if (count := min(counts.values())) < 1:
        raise CommandError(f"--data must hold at least one batch, found arrays of {_lengths(arrays)}")
    for index in range(min(count, TAKEN)):
        yield {n: arrays[n][index * _batch(d) : (index + 1) * _batch(d)] for n, d in sizes.items()}


def _batch(dims: Sequence[int | str]) -> int:
    return dims[0] if dims and isinstance(dims[0], int) else 1


def _lengths(arrays: "dict[str, Array]") -> str:
    return ", ".join(f"'{name}' {len(array)}" for name, array in arrays.items())


def labelled(model: "ModelProto", folder: Path, *, most: int | None = None) -> Labelled:
    """The images of a folder with one folder a class, prepared as the model says, or as is usual where it does not.

    With `most`, that many images at most, evenly from all. Raises CommandError, BadData.
    """
    import numpy as np
    import torch

    from nascc.nas.tasks.decoding import SUFFIXES, converted, decode
    from nascc.nas.tasks.preprocessing import pixels
    from nascc.runtime.onnx_ends import input_specs

    specs = input_specs(model)
    if len(specs) != 1 or specs[0].dims is None or len(specs[0].dims) != 4:
        raise CommandError("a folder of images must be read by a model with one input [N, C, H, W]")
    how, classes, warnings = preparation(model, specs[0].dims)
    folders = sorted(path for path in folder.iterdir() if path.is_dir())
    classes = classes or tuple(path.name for path in folders)
    if unknown := [path.name for path in folders if path.name not in classes]:
        raise CommandError(f"every folder of '{folder}' must be named like a class, found '{unknown[0]}'")
    files = [(p, classes.index(d.name)) for d in folders for p in sorted(d.rglob("*")) if p.suffix.lower() in SUFFIXES]
    if not files:
        raise CommandError(f"'{folder}' must hold one folder of images a class, found no image")
    files = files[:: -(-len(files) // most)] if most else files
    images = torch.stack([pixels(how.fit(converted(decode(path), how.channels))) for path, _ in files])
    ready = how.normalise(images).numpy().astype(specs[0].dtype or np.float32)
    size = _batch(specs[0].dims)
    filled = np.concatenate([ready, np.repeat(ready[-1:], -len(ready) % size, axis=0)])
    batches = tuple({specs[0].name: filled[start : start + size]} for start in range(0, len(filled), size))
    return Labelled(batches, tuple(label for _, label in files), classes, warnings)


def preparation(
    model: "ModelProto", dims: "Sequence[int | str]"
) -> "tuple[Preprocessing, tuple[str, ...], tuple[str, ...]]":
    """How images become inputs, the classes in order (empty where the model does not say), and what to warn of."""
    from nascc.nas.tasks.preprocessing import Preprocessing, default_statistics

    said = {entry.key: entry.value for entry in model.metadata_props}
    if "nascc.preprocess" in said:
        how = Preprocessing.model_validate(json.loads(said["nascc.preprocess"])["preprocessing"])
        return how, tuple(said.get("nascc.labels", "").split("\n")), ()
    count, height, width = dims[1:]
    if count not in (1, 3) or not isinstance(height, int) or not isinstance(width, int):
        raise CommandError(f"images must have 1 or 3 channels and a size, the model reads {list(dims)}")
    channels: Literal[1, 3] = 3 if count == 3 else 1
    mean, std = default_statistics(channels)
    usual = Preprocessing(channels=channels, size=(height, width), mean=mean, std=std)
    return usual, (), ("the model does not say how images are prepared: ImageNet's mean and deviation are taken",)


def top1(found: Labelled, outputs: "Sequence[Array]") -> float:
    """The share of images whose class has the largest score; `outputs` has an array [N, classes] a batch."""
    import numpy as np

    scores = np.concatenate([np.asarray(o).reshape(len(o), -1) for o in outputs])[: len(found.labels)]
    return float(np.mean(scores.argmax(1) == np.asarray(found.labels)))
