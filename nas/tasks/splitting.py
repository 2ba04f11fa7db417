"""From surveyed images to the splits of a task: equal images never end on two sides."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nascc.nas.tasks.config import TaskConfig
from nascc.nas.tasks.division import divide
from nascc.nas.tasks.pictures import Pictures, Read
from nascc.nas.tasks.survey import Survey, conversion_note, resolve
from nascc.nas.tasks.task import SPLITS, Task, splits_of

STRONGEST_FIRST = ("test", "valid")


def task_of(name: str, survey: Survey, config: TaskConfig, read: Read, workers: int) -> Task:
    """The task of surveyed images; `read(i)` gives image i. Raises BadData for too few images."""
    config, preprocessing, augmentation = resolve(config, survey)
    members, notes = members_of(survey, config)
    images = Pictures(read, preprocessing, augmentation, workers)
    splits = splits_of(images, torch.tensor(survey.labels), members)
    notes = conversion_note(survey, preprocessing.channels) + notes
    return Task(name, config, survey.classes, preprocessing, splits, notes)


def members_of(survey: Survey, config: TaskConfig) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Indices of each split but `train`, and a sentence where images are left out. Raises BadData for too few."""
    given, free = _held_out(survey)
    shares = {split: share for split, share in config.shares.model_dump().items() if split not in given}
    labels, groups = [survey.labels[i] for i in free], [survey.groups[i] for i in free]
    parts = divide(labels, groups, shares, config.seed, survey.classes)
    divided = {split: torch.tensor(free)[positions] for split, positions in parts.items()}
    members = {split: torch.tensor(indices) for split, indices in given.items()} | divided
    members = {split: members[split] for split in SPLITS if split in members}
    if dropped := len(survey.labels) - sum(map(len, members.values())):
        note = f"{dropped} images are left out: equal ones are held out for a stronger split (test, then valid)"
        return members, (note,)
    return members, ()


def _held_out(survey: Survey) -> tuple[dict[str, list[int]], Sequence[int]]:
    """Indices of held-out splits, without those whose equals are in a stronger one, and of the rest likewise."""
    taken: set[int] = set()
    given: dict[str, list[int]] = {}
    for split in STRONGEST_FIRST:
        indices = [i for i, held in enumerate(survey.held) if held == split and survey.groups[i] not in taken]
        taken |= {survey.groups[i] for i in indices}
        if indices:
            given[split] = indices
    return given, [i for i, held in enumerate(survey.held) if not held and survey.groups[i] not in taken]
