"""Tasks: images of some classes, or with a depth a pixel, divided into splits that share none."""

from nascc.nas.tasks.augmentation import Augmentation
from nascc.nas.tasks.config import DEPTH_FOLDER, DEPTH_SCENES, Kind, Shares, Sizes, TaskConfig
from nascc.nas.tasks.open_task import open_task
from nascc.nas.tasks.preprocessing import Preprocessing
from nascc.nas.tasks.task import SPLITS, Images, Split, Task

__all__ = [
    "DEPTH_FOLDER",
    "DEPTH_SCENES",
    "SPLITS",
    "Augmentation",
    "Images",
    "Kind",
    "Preprocessing",
    "Shares",
    "Sizes",
    "Split",
    "Task",
    "TaskConfig",
    "open_task",
]
