"""Data sets of torchvision by name, from files written here."""

import gzip
import struct
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from nascc.nas.errors import BadData
from nascc.nas.tasks import TaskConfig, open_task

pytestmark = pytest.mark.usefixtures("vision")


def write_mnist(root: Path, train: int, test: int) -> None:
    """MNIST's files with random images; the first test image is the first training image too."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (train + test, 28, 28), dtype=np.uint8)
    images[train] = images[0]
    labels = (np.arange(train + test) % 10).astype(np.uint8)
    labels[train] = labels[0]
    for prefix, part in (("train", slice(0, train)), ("t10k", slice(train, None))):
        for kind, array in (("images-idx3", images[part]), ("labels-idx1", labels[part])):
            header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
            (folder / f"{prefix}-{kind}-ubyte").write_bytes(header + array.tobytes())
            (folder / f"{prefix}-{kind}-ubyte.gz").write_bytes(gzip.compress(b""))


def test_opens_a_set_with_its_own_test_images(tmp_path: Path, vision: tuple[ModuleType, ModuleType]) -> None:
    write_mnist(tmp_path, train=80, test=20)
    task = open_task(TaskConfig(data=f"torchvision:MNIST@{tmp_path}"))
    assert task.classes[3] == "3 - three" and task.input_shape == (1, 28, 28) and task.name == "MNIST"
    assert len(task.split("test")) == 20 and len(task.split("train")) == 79 and "1 images are left out" in task.notes[0]
    images, labels = task.split("test").batch(torch.tensor([4]))
    stored, label = vision[1].datasets.MNIST(str(tmp_path), train=False)[4]
    wanted = (torch.from_numpy(np.array(stored)) / 255 - 0.449) / 0.226
    torch.testing.assert_close(images[0, 0], wanted, rtol=0, atol=1e-5)
    assert labels.tolist() == [label]


def test_chosen_classes_are_numbered_anew(tmp_path: Path) -> None:
    write_mnist(tmp_path, train=80, test=20)
    task = open_task(TaskConfig(data=f"torchvision:MNIST@{tmp_path}", classes="7 - seven,2 - two"))
    assert task.classes == ("2 - two", "7 - seven") and sorted(task.split("test").labels.tolist()) == [0, 0, 1, 1]
    again = open_task(TaskConfig.model_validate_json(task.config.model_dump_json()))
    assert again.config == task.config


def test_a_missing_set_says_how_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="MNIST must open with .* fetch it first with torchvision.datasets.MNIST"):
        open_task(TaskConfig(data=f"torchvision:MNIST@{tmp_path}"))


def test_an_unknown_set_has_near_matches(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="data set 'CIFAR1O', found none; near: CIFAR10"):
        open_task(TaskConfig(data=f"torchvision:CIFAR1O@{tmp_path}"))
