"""Folders of images with depth maps: pairs are cut alike, splits do not leak, bad files are named."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nascc.nas.core.randomness import generator
from nascc.nas.errors import BadData, RunMismatch
from nascc.nas.tasks import Task, TaskConfig, open_task

SIZE = (40, 30)


def paint(path: Path, seed: int, size: tuple[int, int] = SIZE) -> None:
    """A random image of its own at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def write_depth(path: Path, metres: np.ndarray) -> None:
    """Depths [H, W] as the suffix of `path` says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, metres)
    else:
        Image.fromarray(np.round(metres * 1000).astype(np.uint16)).save(path)


def depths_of(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Whole millimetres from 0.5 to 9.999 m, a tenth of them unknown."""
    random = np.random.default_rng(seed)
    metres = random.integers(500, 10_000, (size[1], size[0])) / 1000
    metres[random.random(metres.shape) < 0.1] = 0
    return metres.astype(np.float32)


def fill(root: Path, count: int, suffix: str = ".png", first: int = 0) -> None:
    for number in range(first, first + count):
        paint(root / "rgb" / f"{number:02}.png", seed=number)
        write_depth(root / "depth" / f"{number:02}{suffix}", depths_of(number))


def opened(folder: Path, **options: object) -> Task:
    return open_task(TaskConfig.model_validate({"data": f"depth_folder:{folder}", **options}))


@pytest.mark.parametrize("suffix", [".png", ".npy"])
def test_pairs_are_those_of_the_files(tmp_path: Path, suffix: str) -> None:
    fill(tmp_path, 20, suffix)
    task = opened(tmp_path, crop=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    assert task.kind == "depth" and task.classes == ("depth",) and task.input_shape == (3, 30, 40)
    split = task.split("train")
    images, depths = split.batch(torch.arange(len(split)))
    assert images.shape == (18, 3, 30, 40) and depths.shape == (18, 1, 30, 40) and depths.dtype == torch.float32
    for image, depth, index in zip(images, depths, split.indices.tolist(), strict=True):
        stored = np.array(Image.open(tmp_path / "rgb" / f"{index:02}.png"))
        torch.testing.assert_close(image, torch.from_numpy(stored).permute(2, 0, 1) / 255)
        np.testing.assert_allclose(depth[0], depths_of(index), rtol=1e-6)


def test_splits_cover_the_folder_once_and_equal_images_stay_together(tmp_path: Path) -> None:
    fill(tmp_path, 20)
    for number in range(4):
        (tmp_path / "rgb" / f"copy{number}.png").write_bytes((tmp_path / "rgb" / f"0{number}.png").read_bytes())
        write_depth(tmp_path / "depth" / f"copy{number}.png", depths_of(number))
    task = opened(tmp_path)
    parts = [task.split(name).indices.tolist() for name in ("weights", "alpha", "valid", "test")]
    assert sorted(index for part in parts for index in part) == list(range(24))
    names = sorted(path.name for path in (tmp_path / "rgb").iterdir())
    for part in parts:
        inside = {names[index] for index in part}
        assert all((f"0{n}.png" in inside) == (f"copy{n}.png" in inside) for n in range(4))


def test_held_out_folders_are_the_test_and_the_validation(tmp_path: Path) -> None:
    for name, count, first in (("train", 8, 0), ("val", 3, 20), ("test", 4, 30)):
        fill(tmp_path / name, count, first=first)
    task = opened(tmp_path)
    assert [len(task.split(name)) for name in ("train", "valid", "test")] == [11, 3, 4]


def test_a_resize_takes_depths_from_the_nearest_pixel(tmp_path: Path) -> None:
    """One half is 2 m away, the other 8 m: none is 5 m, and the edge is where that of the image is."""
    for number in range(8):
        picture = np.zeros((40, 80, 3), dtype=np.uint8)
        picture[:, 40:] = 200 + number
        (tmp_path / "rgb").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "rgb" / f"{number}.png")
        write_depth(tmp_path / "depth" / f"{number}.npy", np.where(picture[..., 0] > 0, 8.0, 2.0).astype(np.float32))
    task = opened(tmp_path, resolution=(16, 16), crop=1.0, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    images, depths = task.split("test").batch(torch.arange(1))
    assert set(depths.unique().tolist()) == {2.0, 8.0}
    assert ((images[:, :1] > 0.4) == (depths > 5)).float().mean() > 0.9


def test_augmentation_mirrors_both(tmp_path: Path) -> None:
    fill(tmp_path, 12)
    task = opened(tmp_path, augmentation={"crop": "none", "flip": 1.0, "jitter": 0.0})
    split, every = task.split("train"), torch.arange(5)
    plain, mirrored = split.batch(every), split.batch(every, generator(0, "augment"))
    assert all(torch.equal(one.flip(-1), other) for one, other in zip(plain, mirrored, strict=True))
    some = opened(tmp_path, augmentation={"crop": "none"}).split("train")
    one, same, other = (some.batch(every, generator(seed, "augment")) for seed in (1, 1, 2))
    assert torch.equal(one[0], same[0]) and torch.equal(one[1], same[1]) and not torch.equal(one[0], other[0])


def test_numbers_that_are_no_depths_are_unknown(tmp_path: Path) -> None:
    fill(tmp_path, 10, ".npy")
    for number in range(10):
        depths = np.full((30, 40), 3.0)
        depths[0, :4] = np.nan, np.inf, -1.0, 0.0
        write_depth(tmp_path / "depth" / f"{number:02}.npy", depths)
    depths = opened(tmp_path, crop=1.0).split("train").batch(torch.arange(1))[1]
    assert depths[0, 0, 0, :5].tolist() == [0, 0, 0, 0, 3]


def test_a_resolved_config_opens_the_same_task_and_notices_changes(tmp_path: Path) -> None:
    fill(tmp_path, 12)
    task = opened(tmp_path)
    again = open_task(TaskConfig.model_validate_json(task.config.model_dump_json()))
    assert again.config == task.config and task.config.data == f"depth_folder:{tmp_path.resolve()}"
    fill(tmp_path, 1, first=50)
    with pytest.raises(RunMismatch, match="those the run began with"):
        open_task(task.config)


Spoil = Callable[[Path], object]
SPOILT: dict[str, tuple[Spoil, str]] = {
    "an image alone": (lambda root: (root / "depth" / "03.png").unlink(), r"same name, .* found 1 .*rgb/03.png"),
    "a depth map alone": (lambda root: (root / "rgb" / "03.png").unlink(), r"same name, .* found 1 .*depth/03.png"),
    "another size": (
        lambda root: write_depth(root / "depth" / "03.png", depths_of(3, (30, 40))), "size of its image, .*depth/03.png"
    ),
    "nothing known": (
        lambda root: write_depth(root / "depth" / "03.png", np.zeros((30, 40))), "some pixel, found 1 .*depth/03.png"
    ),
    "8 bits": (lambda root: paint(root / "depth" / "03.png", 3), "depth/03.png' must be a PNG of 16 bits .*mode RGB"),
    "no depth map": (lambda root: (root / "depth" / "03.png").write_text("no"), "depth/03.png' must be an image that"),
    "no image": (lambda root: (root / "rgb" / "03.png").write_text("no"), "decodable, found 1 .*rgb/03.png"),
    "two of a name": (lambda root: paint(root / "rgb" / "03.jpg", 3), "every name must be used once, .*rgb/03"),
}  # fmt: skip


@pytest.mark.parametrize("spoilt", SPOILT)
def test_bad_files_are_named(tmp_path: Path, spoilt: str) -> None:
    fill(tmp_path, 10)
    spoil, reason = SPOILT[spoilt]
    spoil(tmp_path)
    with pytest.raises(BadData, match=reason):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (np.ones((30, 40), dtype=np.int32), r"floating-point metres, \[H, W\], found int32 \[30, 40\]"),
        (np.ones((1, 30, 40)), r"found float64 \[1, 30, 40\]"),
        (b"no array", "must be a .npy file that can be read"),
        (np.array([{}], dtype=object), "must be a .npy file that can be read"),
    ],
)
def test_bad_arrays_are_named(tmp_path: Path, content: np.ndarray | bytes, reason: str) -> None:
    fill(tmp_path, 10, ".npy")
    path = tmp_path / "depth" / "03.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
    with pytest.raises(BadData, match=f"depth/03.npy' .*{reason}"):
        opened(tmp_path)


def test_folders_without_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="followed by a folder that holds 'rgb' and 'depth', found nothing"):
        opened(tmp_path / "nowhere")
    with pytest.raises(BadData, match="must hold images with depth maps in .*, found none"):
        opened(tmp_path)
    fill(tmp_path, 2)
    with pytest.raises(BadData, match="4 different images or more"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"classes": "cat,dog"}, "no classes to choose from"),
        ({"augmentation": {}}, "crop must be 'none', got 'resized'"),
    ],
)
def test_what_changes_sizes_is_refused(tmp_path: Path, options: dict[str, object], reason: str) -> None:
    fill(tmp_path, 4)
    with pytest.raises(BadData, match=reason):
        opened(tmp_path, **options)
