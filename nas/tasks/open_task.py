"""Opens the task that a config names."""

from nascc.nas.errors import RunMismatch
from nascc.nas.tasks.cluttered_digits import cluttered_digits
from nascc.nas.tasks.config import DEPTH_FOLDER, DEPTH_SCENES, DIGITS, TORCHVISION, TaskConfig
from nascc.nas.tasks.depth_folder import depth_folder
from nascc.nas.tasks.depth_scenes import depth_scenes
from nascc.nas.tasks.image_folder import image_folder
from nascc.nas.tasks.task import Task
from nascc.nas.tasks.torchvision_data import torchvision_data


def open_task(config: TaskConfig, workers: int = 4) -> Task:
    """The task of a config; `workers` threads read images.

    Raises BadData when its data can not be used, RunMismatch when they are others than the fingerprint tells.
    """
    if config.data == DIGITS:
        task = cluttered_digits(config)
    elif config.data.startswith(TORCHVISION):
        task = torchvision_data(config, workers)
    elif config.data == DEPTH_SCENES:
        task = depth_scenes(config)
    elif config.data.startswith(DEPTH_FOLDER):
        task = depth_folder(config, workers)
    else:
        task = image_folder(config, workers)
    if config.fingerprint not in (None, task.config.fingerprint):
        raise RunMismatch(f"the images of '{config.data}' must be those the run began with, found others; start anew")
    return task
