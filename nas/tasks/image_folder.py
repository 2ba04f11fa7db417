"""A folder of images, one folder a class, divided into splits; or with `train` and `val` or `test` folders of them."""

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from nascc.nas.errors import BadData
from nascc.nas.tasks.classes import choose_classes
from nascc.nas.tasks.config import TaskConfig
from nascc.nas.tasks.decoding import SUFFIXES, Header, decode, read_header
from nascc.nas.tasks.equals import groups_of_equals, in_threads
from nascc.nas.tasks.splitting import task_of
from nascc.nas.tasks.survey import Survey
from nascc.nas.tasks.task import Task

TRAIN, TEST = "train", "test"
VALIDATION = ("val", "valid", "validation")
SHOWN = 5


@dataclass(frozen=True)
class _Listed:
    """Image files of one class under one folder, and the split they are held out for."""

    name: str
    held: str
    files: tuple[Path, ...]


def image_folder(config: TaskConfig, workers: int = 4) -> Task:
    """The task of a config whose `data` is a folder.

    Either `data/<class>/**/image`, or `data/train/<class>/...` beside `data/val` or `data/test` of the same classes: a
    held-out folder becomes `test`; where there are two, `val` becomes `valid`. Raises BadData: no such folder, no
    images, one class, classes that differ between folders, files that are no images (named), too few images.
    """
    root = Path(config.data).expanduser().resolve()
    listed = _listed(root)
    classes = choose_classes(config.classes, sorted({part.name for part in listed}), config.seed)
    listed = [part for part in listed if part.name in classes]
    _require_all_classes(listed, classes)
    paths = [path for part in listed for path in part.files]
    headers = headers_of(paths, workers)
    sizes = [path.stat().st_size for path in paths]
    survey = Survey(
        classes=classes,
        labels=[classes.index(part.name) for part in listed for _ in part.files],
        groups=groups_of_equals(paths, sizes, workers),
        held=[part.held for part in listed for _ in part.files],
        headers=headers,
        keys=[f"{path.relative_to(root).as_posix()} {size}" for path, size in zip(paths, sizes, strict=True)],
    )
    config = config.model_copy(update={"data": str(root)})
    return task_of(root.name, survey, config, lambda index: decode(paths[index]), workers)


def _listed(root: Path) -> list[_Listed]:
    """Every class folder, by name. Raises BadData where there is nothing to learn from."""
    if not root.is_dir():
        raise BadData(
            f"data must be 'cluttered_digits', 'torchvision:NAME@folder' or a folder with one folder of images a "
            f"class, found {'a file' if root.exists() else 'nothing'} at '{root}'"
        )
    listed = [
        _Listed(folder.name, held, tuple(files_under(folder, SUFFIXES)))
        for held, parent in held_roots(root)
        for folder in folders_in(parent)
    ]
    if not listed:
        raise BadData(f"'{root}' must hold one folder of images a class, found no folder in it")
    if empty := [part.name for part in listed if not part.files]:
        shown = ", ".join(f"'{name}'" for name in empty[:SHOWN])
        raise BadData(
            f"every class folder of '{root}' must hold images ({', '.join(sorted(SUFFIXES))}), "
            f"found none in {len(empty)} of {len(listed)}: {shown}; fill or remove them"
        )
    return listed


def held_roots(root: Path) -> list[tuple[str, Path]]:
    """Where class folders lie, and what each place is held out for (empty: to be divided)."""
    inside = {folder.name: folder for folder in folders_in(root)}
    held = [inside[name] for name in (*VALIDATION, TEST) if name in inside and folders_in(inside[name])]
    if TRAIN not in inside or not held or not folders_in(inside[TRAIN]):
        return [("", root)]
    test = inside[TEST] if inside.get(TEST) in held else held[0]
    others = [folder for folder in held if folder != test]
    return [("", inside[TRAIN]), ("test", test), *[("valid", folder) for folder in others[:1]]]


def _require_all_classes(listed: Sequence[_Listed], classes: Sequence[str]) -> None:
    for held in dict.fromkeys(part.held for part in listed):
        there = {part.name for part in listed if part.held == held}
        if missing := [name for name in classes if name not in there]:
            raise BadData(
                f"the {held or 'training'} folder must have the same classes as the others, "
                f"found no '{missing[0]}' in it ({len(missing)} missing); add it or leave it out with --classes"
            )


def headers_of(paths: Sequence[Path], workers: int) -> list[Header]:
    """Raises BadData, which names the files, when some are no images."""
    headers = in_threads(lambda index: read_header(paths[index]), range(len(paths)), workers)
    if broken := [str(path) for path, header in zip(paths, headers, strict=True) if header is None]:
        more = f" and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
        raise BadData(
            f"every image must be of 8 or 16 bits and decodable, found {len(broken)} that are not: "
            f"{', '.join(broken[:SHOWN])}{more}; repair or remove them"
        )
    return [header for header in headers if header is not None]


def folders_in(folder: Path) -> list[Path]:
    """Folders that are not hidden, sorted."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def files_under(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files of these suffixes at any depth, sorted; hidden files and folders are passed over."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if not name.startswith(".")]
    return sorted(path for path in found if path.suffix.lower() in suffixes)
