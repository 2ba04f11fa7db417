"""Labelled image sets of torchvision by name: `torchvision:CIFAR10@folder`."""

import difflib
import hashlib
import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from nascc.nas.errors import BadData
from nascc.nas.tasks.classes import choose_classes
from nascc.nas.tasks.config import TORCHVISION, TaskConfig
from nascc.nas.tasks.decoding import Header
from nascc.nas.tasks.equals import in_threads, numbered
from nascc.nas.tasks.splitting import task_of
from nascc.nas.tasks.survey import Survey
from nascc.nas.tasks.task import Task

TRAIN_NAMES, TEST_NAMES = ("train", "trainval"), ("test", "val", "valid")
Item = tuple[int, int]
"""Which of the parts, and which of its images."""


def torchvision_data(config: TaskConfig, workers: int = 4) -> Task:
    """The task of a config whose `data` is `torchvision:NAME@folder`; nothing is downloaded.

    The set's own test images are held out. Every image is decoded once, to find equal ones. Raises BadData.
    """
    name, _, folder = config.data.removeprefix(TORCHVISION).partition("@")
    root = Path(folder or ".").expanduser().resolve()
    parts = _parts(name, root)
    found = _class_names(parts[0])
    classes = choose_classes(config.classes, found, config.seed)
    items, labels, headers, digests = _surveyed(parts, [found.index(c) for c in classes], workers)
    survey = Survey(
        classes=classes,
        labels=labels,
        groups=numbered(digests),
        held=["test" if part else "" for part, _ in items],
        headers=headers,
        keys=digests,
    )
    config = config.model_copy(update={"data": f"{TORCHVISION}{name}@{root}"})
    return task_of(name, survey, config, lambda index: _image(parts[items[index][0]][items[index][1]]), workers)


def _parts(name: str, root: Path) -> list[Any]:
    """The training images, and the test images where the set has some."""
    kind = _kind(name)
    given = inspect.signature(kind).parameters
    base: dict[str, object] = {"root": str(root)} if "root" in given else {}
    if "train" in given:
        wanted: list[tuple[dict[str, object], ...]] = [({"train": True},), ({"train": False},)]
    elif "split" in given:
        wanted = [tuple({"split": split} for split in names) for names in (TRAIN_NAMES, TEST_NAMES)]
    else:
        wanted = [({},)]
    return [_opened(kind, [base | options for options in choices]) for choices in wanted]


def _kind(name: str) -> Any:
    """The class of this name. Raises BadData when it, or torchvision, is not there."""
    try:
        sets = importlib.import_module("torchvision.datasets")
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        raise BadData(f"data 'torchvision:{name}' needs torchvision, but: {error}; install torchvision") from error
    if name not in sets.__all__:
        near = difflib.get_close_matches(name, sets.__all__) or ["CIFAR10", "Flowers102", "ImageNet"]
        raise BadData(f"torchvision must have the data set '{name}', found none; near: {', '.join(near)}")
    return getattr(sets, name)


def _opened(kind: Any, choices: Sequence[dict[str, object]]) -> Any:
    """The set with the first options that it takes."""
    reason: Exception | None = None
    for options in choices:
        try:
            return kind(**options)
        except ValueError as error:  # this split is not one of its
            reason = error
        except (RuntimeError, OSError, TypeError, ImportError) as error:
            reason = error
            break
    raise BadData(
        f"torchvision's {kind.__name__} must open with {choices[0]}, but: {reason}; "
        f"fetch it first with torchvision.datasets.{kind.__name__}(..., download=True)"
    ) from reason


def _class_names(part: Any) -> list[str]:
    """Names by label; the labels themselves where the set has no names."""
    if names := list(getattr(part, "classes", ())):
        texts = [name if isinstance(name, str) else str(name[0]) for name in names]
        return [text.replace(",", ";") for text in texts]
    labels = sorted({int(part[index][1]) for index in range(len(part))})
    return [str(label) for label in range(labels[-1] + 1 if labels else 0)]


def _surveyed(
    parts: Sequence[Any], kept: Sequence[int], workers: int
) -> tuple[list[Item], list[int], list[Header], list[str]]:
    """Images whose label is among `kept`: where they are, their new label, their header and a hash of their pixels."""
    items = [(part, index) for part, images in enumerate(parts) for index in range(len(images))]

    def look(position: int) -> tuple[int, Header, str]:
        part, index = items[position]
        stored = parts[part][index]
        image = _image(stored)
        content = hashlib.sha256(f"{image.mode} {image.size} ".encode() + image.tobytes()).hexdigest()
        return _label(stored), Header(image.mode, image.size), content

    seen = in_threads(look, range(len(items)), workers)
    chosen = [position for position, (label, _, _) in enumerate(seen) if label in kept]
    labels = [kept.index(seen[position][0]) for position in chosen]
    return (
        [items[position] for position in chosen],
        labels,
        [seen[position][1] for position in chosen],
        [seen[position][2] for position in chosen],
    )


def _image(stored: Any) -> Image.Image:
    if not isinstance(stored, tuple) or not isinstance(stored[0], Image.Image):
        raise BadData("a set of torchvision must give pairs of an image and a label; this one gives something else")
    return stored[0]


def _label(stored: Any) -> int:
    try:
        return int(stored[1])
    except (TypeError, ValueError) as error:
        raise BadData(f"a set of torchvision must give whole numbers as labels, found {stored[1]!r}") from error
