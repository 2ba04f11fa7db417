"""Folders of images: layouts, splits that do not leak, reproducible augmentation, bad files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nascc.nas.core.randomness import generator
from nascc.nas.errors import BadData, RunMismatch
from nascc.nas.tasks import Augmentation, Task, TaskConfig, open_task


def paint(path: Path, seed: int, size: tuple[int, int] = (40, 30), mode: str = "RGB") -> None:
    """A random image of its own at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).convert(mode).save(path)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Ten cats and twelve dogs."""
    for name, count in (("cat", 10), ("dog", 12)):
        for number in range(count):
            paint(tmp_path / "animals" / name / f"{number:02}.png", seed=100 * count + number)
    return tmp_path / "animals"


def opened(folder: Path, **options: object) -> Task:
    return open_task(TaskConfig.model_validate({"data": str(folder), "resolution": 16, **options}))


def files(task: Task, split: str) -> set[int]:
    return set(task.split(split).indices.tolist())


def test_splits_cover_the_folder_once(animals: Path) -> None:
    task = opened(animals)
    assert task.classes == ("cat", "dog") and task.name == "animals" and task.notes == ()
    parts = [files(task, name) for name in ("weights", "alpha", "valid", "test")]
    assert sorted(i for part in parts for i in part) == list(range(22))
    assert files(task, "train") == parts[0] | parts[1] | parts[2]
    assert all(set(task.split(name).labels.tolist()) == {0, 1} for name in task.splits)


def test_batches_are_what_the_transforms_say(animals: Path) -> None:
    task = opened(animals, crop=1.0, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    split = task.split("valid")
    images, labels = split.batch(torch.arange(len(split)))
    assert images.shape == (len(split), 3, 16, 16) and images.dtype == torch.float32
    paths = sorted((animals / "cat").iterdir()) + sorted((animals / "dog").iterdir())
    for image, label, index in zip(images, labels.tolist(), split.indices.tolist(), strict=True):
        stored = Image.open(paths[index]).resize((21, 16), Image.Resampling.BILINEAR).crop((2, 0, 18, 16))
        wanted = torch.from_numpy(np.array(stored)).permute(2, 0, 1) / 255
        torch.testing.assert_close(image, (wanted - 0.5) / 0.25, rtol=0, atol=1e-5)
        assert task.classes[label] == paths[index].parent.name


@pytest.mark.parametrize("crop", ["resized", "padded", "none"])
@pytest.mark.parametrize("channels", [1, 3])
def test_augmentation_follows_from_the_generator(animals: Path, crop: str, channels: int) -> None:
    split = opened(animals, channels=channels, augmentation={"crop": crop}).split("train")
    every = torch.arange(len(split))
    one, same, other = (split.batch(every, generator(seed, "augment"))[0] for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert not torch.equal(one, split.batch(every)[0])


def test_flips_and_windows_do_what_they_say() -> None:
    image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4))
    flip = Augmentation(jitter=0)
    assert np.array_equal(np.array(flip.coloured(image, [0.0] * 8)), np.array(image)[:, ::-1])
    assert np.array_equal(np.array(flip.coloured(image, [0.9] * 8)), np.array(image))
    whole = Augmentation(scale=(1, 1), ratio=(4 / 3, 4 / 3)).window(image, (3, 4), [0.5] * 8)
    assert np.array_equal(np.array(whole), np.array(image))
    shifted = Augmentation(padding=0.5).shifted(image, [0.0, 0.0, 0.0, 0.999, 0, 0, 0, 0])
    assert np.array_equal(np.array(shifted)[:1, 2:], np.array(image)[2:, :2]) and not np.array(shifted)[1:].any()


def test_equal_images_stay_on_one_side(animals: Path) -> None:
    for number in range(10):
        original = animals / "cat" / f"{number:02}.png"
        (animals / "cat" / f"copy {number}.png").write_bytes(original.read_bytes())
    task = opened(animals)
    names = sorted(path.name for path in (animals / "cat").iterdir())
    for split in ("weights", "alpha", "valid", "test"):
        inside = {names[i] for i in files(task, split) if i < 20}
        assert {f"copy {int(name[:2])}.png" for name in inside if name[0] == "0"} <= inside


def test_a_held_out_folder_is_the_test(animals: Path, tmp_path: Path) -> None:
    root = tmp_path / "both"
    root.mkdir()
    animals.rename(root / "train")
    for name in ("cat", "dog"):
        for number in range(3):
            paint(root / "val" / name / f"{number}.png", seed=hash_of(name) + number)
    (root / "val" / "cat" / "leak.png").write_bytes((root / "train" / "cat" / "00.png").read_bytes())
    task = opened(root)
    assert len(task.split("test")) == 7 and len(task.split("train")) == 21
    assert task.notes == ("1 images are left out: equal ones are held out for a stronger split (test, then valid)",)
    (root / "val").rename(root / "valid")
    for name in ("cat", "dog"):
        paint(root / "test" / name / "0.png", seed=7 * hash_of(name))
    task = opened(root)
    assert {name: len(task.split(name)) for name in ("train", "valid", "test")} == {"train": 28, "valid": 7, "test": 2}


def hash_of(name: str) -> int:
    return sum(map(ord, name)) * 1000


def test_what_is_left_open_follows_from_the_images(animals: Path) -> None:
    task = open_task(TaskConfig(data=str(animals)))
    assert task.input_shape == (3, 30, 40) and task.config.augmentation == Augmentation(crop="padded", jitter=0)
    paint(animals / "cat" / "large.png", 1, size=(300, 200))
    task = open_task(TaskConfig(data=str(animals)))
    assert task.input_shape == (3, 224, 224) and task.config.augmentation == Augmentation()
    again = open_task(TaskConfig.model_validate_json(task.config.model_dump_json()))
    assert again.config == task.config and files(again, "test") == files(task, "test")


def test_changed_data_are_noticed(animals: Path) -> None:
    config = opened(animals).config
    (animals / "cat" / "00.png").unlink()
    with pytest.raises(RunMismatch, match="must be those the run began with"):
        open_task(config)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "RGBA", "LA", "I;16"])
def test_other_modes_are_converted(animals: Path, mode: str) -> None:
    suffix = "tif" if mode == "CMYK" else "png"
    path = animals / "cat" / f"odd.{suffix}"
    if mode == "I;16":
        Image.fromarray(np.full((30, 40), 257 * 100, dtype=np.uint16)).save(path)
    else:
        paint(path, 5, mode=mode)
    task = opened(animals)
    split = task.split(next(name for name in ("weights", "alpha", "valid", "test") if 10 in files(task, name)))
    position = split.indices.tolist().index(10)
    image = split.batch(torch.tensor([position]))[0][0]
    assert image.shape == (3, 16, 16) and len(task.notes) == 1 and task.notes[0].startswith("1 of 23 images are conv")
    if mode == "I;16":
        assert torch.allclose(image[0], torch.tensor((100 / 255 - 0.485) / 0.229), atol=1e-5)


def test_grey_folders_are_grey(tmp_path: Path) -> None:
    for number in range(16):
        paint(tmp_path / f"class {number % 2}" / f"{number}.jpg", number, mode="L")
    assert opened(tmp_path).input_shape == (1, 16, 16)
    assert opened(tmp_path, channels=3).input_shape == (3, 16, 16)


def test_other_files_are_passed_over(animals: Path) -> None:
    (animals / "cat" / "notes.txt").write_text("no image")
    (animals / "cat" / ".hidden.png").write_text("no image")
    (animals / ".cache").mkdir()
    paint(animals / "dog" / "deeper" / "one.PNG", 3)
    assert len(opened(animals).split("train")) + len(opened(animals).split("test")) == 23


def test_a_damaged_file_is_named(animals: Path) -> None:
    (animals / "cat" / "03.png").write_bytes(b"\x89PNG but no more")
    (animals / "dog" / "empty.jpg").write_bytes(b"")
    Image.fromarray(np.ones((30, 40), dtype=np.float32)).save(animals / "cat" / "real.tif")
    with pytest.raises(BadData, match=r"found 3 that are not: \S*cat/03.png, \S*cat/real.tif, \S*empty.jpg; repair"):
        opened(animals)


def test_a_truncated_file_is_named_when_it_is_read(animals: Path) -> None:
    path = animals / "cat" / "03.png"
    path.write_bytes(path.read_bytes()[:-900])
    task = opened(animals)
    split = next(task.split(name) for name in ("weights", "alpha", "valid", "test") if 3 in files(task, name))
    with pytest.raises(BadData, match="cat/03.png' must be an image that can be decoded, but: "):
        split.batch(torch.arange(len(split)))


def test_refuses_folders_without_classes(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="found nothing at"):
        opened(tmp_path / "missing")
    with pytest.raises(BadData, match="found no folder in it"):
        opened(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BadData, match="found a file at"):
        opened(tmp_path / "file")
    (tmp_path / "cat").mkdir()
    with pytest.raises(BadData, match="found none in 1 of 1: 'cat'"):
        opened(tmp_path)
    for number in range(8):
        paint(tmp_path / "cat" / f"{number}.png", number)
    with pytest.raises(BadData, match="two classes or more, found 1: cat"):
        opened(tmp_path)


def test_refuses_too_few_images(animals: Path) -> None:
    for number in range(3, 10):
        (animals / "cat" / f"{number:02}.png").unlink()
    with pytest.raises(BadData, match="4 different images or more, .*weights, alpha, valid, test; found 'cat' with 3"):
        opened(animals)


def test_refuses_folders_that_disagree(animals: Path, tmp_path: Path) -> None:
    root = tmp_path / "both"
    root.mkdir()
    animals.rename(root / "train")
    paint(root / "test" / "cat" / "0.png", 1)
    with pytest.raises(BadData, match="the test folder must have the same classes as the others, found no 'dog'"):
        opened(root)
