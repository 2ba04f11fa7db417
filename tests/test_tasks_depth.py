"""Scenes with depths: exact where geometry is known, the same bits everywhere, no scene in two splits."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nascc.nas.errors import BadData, RunMismatch
from nascc.nas.tasks import SPLITS, Sizes, Task, TaskConfig, open_task
from nascc.nas.tasks.raw_random import RawRandom
from nascc.nas.tasks.raycast import Boxes, Floats, meet, pinhole, tilted
from nascc.nas.tasks.scenes import FAR, NEAR, draw_scenes, random_scenes, seen
from nascc.tools.search_options import data_path

SMALL = TaskConfig(data="depth_scenes", sizes=Sizes(weights=40, alpha=20, valid=10, test=20))
STRAIGHT = np.array([[1.0], [0.0]], dtype=np.float32)


@pytest.fixture(scope="module")
def small() -> Task:
    return open_task(SMALL)


def column(*numbers: float) -> Floats:
    return np.array(numbers, dtype=np.float32)[:, None]


def turn(degrees: float) -> Floats:
    angle = np.radians(degrees)
    return column(np.cos(angle), np.sin(angle))


def slab(centre: NDArray[np.float64], half: NDArray[np.float64], degrees: float, ray: NDArray[np.float64]) -> float:
    """Where a ray from the origin first meets a box turned about y, by its six planes in double precision."""
    angle = np.radians(degrees)
    axes = np.array([[np.cos(angle), 0, -np.sin(angle)], [0, 1, 0], [np.sin(angle), 0, np.cos(angle)]])
    times = []
    for axis in range(3):
        for side in (-half[axis], half[axis]):
            time = (side + axes[axis] @ centre) / (axes[axis] @ ray)
            point = axes @ (time * ray - centre)
            if time > 0 and np.all(np.abs(np.delete(point, axis)) <= np.delete(half, axis)):
                times.append(time)
    return min(times, default=np.inf)


def test_a_wall_across_the_view_has_one_depth() -> None:
    wall = Boxes(column(0, 0, 3), column(100, 100, 0), STRAIGHT)
    hits = meet(wall, column(0, 0, 0.5), pinhole(1, 6, 8, 0.75))
    assert (hits.depths == 2.5).all() and (hits.axes == 2).all()


def test_a_floor_is_as_deep_as_its_row_says() -> None:
    """Row r below the horizon sees the floor, h below the camera, at h * focal length / (r - centre)."""
    height, width, focal, above = 12, 16, 0.75, 1.4
    room = Boxes(column(0, 0, 0), column(1000, above, 1000), STRAIGHT)
    hits = meet(room, column(0, 0, 0), pinhole(1, height, width, focal), inside=True)
    rows = np.arange(height) + 0.5 - height / 2
    expected = np.repeat(above * focal * width / np.abs(rows), width).reshape(1, -1)
    np.testing.assert_allclose(hits.depths, expected, rtol=1e-6)
    assert (hits.axes == 1).all()


def test_a_tilted_camera_sees_the_floor_nearer() -> None:
    """Through the centre, a camera turned down by angle a sees the floor at h / sin a."""
    room = Boxes(column(0, 0, 0), column(1000, 1.5, 1000), STRAIGHT)
    rays = tilted(pinhole(1, 1, 1, 0.75), turn(30))
    np.testing.assert_allclose(meet(room, column(0, 0, 0), rays, inside=True).depths, [[3.0]], rtol=1e-6)


@pytest.mark.parametrize("degrees", [0.0, 20.0, -70.0])
def test_a_box_is_met_where_its_planes_are(degrees: float) -> None:
    centre, half = np.array([0.4, -0.3, 3.0]), np.array([0.7, 0.5, 0.9])
    rays = pinhole(1, 24, 24, 0.75)
    hits = meet(Boxes(column(*centre), column(*half), turn(degrees)), column(0, 0, 0), rays)
    expected = [slab(centre, half, degrees, ray.astype(np.float64)) for ray in rays[:, 0].T]
    np.testing.assert_allclose(hits.depths[0], expected, rtol=1e-5)
    assert 20 < np.isfinite(hits.depths).sum() < 500


def test_what_is_behind_the_camera_is_not_seen() -> None:
    behind = Boxes(column(0, 0, -3), column(1, 1, 1), STRAIGHT)
    assert np.isinf(meet(behind, column(0, 0, 0), pinhole(1, 8, 8, 1)).depths).all()


def test_places_on_a_face_are_metres_from_its_centre() -> None:
    wall = Boxes(column(1, 2, 4), column(50, 50, 0), STRAIGHT)
    hits = meet(wall, column(0, 0, 0), pinhole(1, 1, 1, 1.0))
    np.testing.assert_array_equal(hits.places[:, 0, 0], [-1, -2])


def test_the_nearest_thing_is_seen_and_far_ones_are_unknown() -> None:
    scenes = random_scenes(20, RawRandom(0, "test"))
    colours, depths = seen(scenes, 24, 32)
    assert colours.shape == (20, 3, 24, 32) and depths.shape == (20, 1, 24, 32)
    rays = tilted(pinhole(20, 24, 32, 0.75), scenes.tilts)
    each = [meet(box, scenes.origins, rays, inside=i == 0).depths for i, box in enumerate(scenes.boxes)]
    nearest = np.minimum.reduce(each).reshape(depths.shape)
    known = (nearest >= NEAR) & (nearest <= FAR)
    np.testing.assert_array_equal(depths, np.where(known, nearest, 0))
    assert colours.min() > 0 and colours.max() <= 255 and (np.argmin(each, axis=0) > 0).mean() > 0.05


def test_scenes_are_the_same_bits_everywhere(small: Task) -> None:
    assert small.config.fingerprint == "153330c4f7defb0733bc9146e812b2c4ff8e024fabbd5a7f20dbbdb1b5e84336"


def test_a_resolved_config_opens_the_same_task(small: Task) -> None:
    again = open_task(TaskConfig.model_validate_json(small.config.model_dump_json()))
    assert again.config == small.config and again.kind == small.kind == "depth"
    with pytest.raises(RunMismatch, match="those the run began with"):
        open_task(SMALL.model_copy(update={"fingerprint": "0" * 64}))


def test_splits_have_their_sizes_and_share_no_scene(small: Task) -> None:
    assert {name: len(small.split(name)) for name in SPLITS} == {
        "train": 70, "weights": 40, "alpha": 20, "valid": 10, "test": 20,
    }  # fmt: skip
    depths = [small.split(name).batch(torch.arange(len(small.split(name))))[1] for name in SPLITS[1:]]
    assert len({depth.numpy().tobytes() for depth in torch.cat(depths)}) == 90
    assert torch.equal(torch.cat(depths[:3]), small.split("train").batch(torch.arange(70))[1])


def test_images_are_normalised_and_depths_in_metres(small: Task) -> None:
    images, depths = small.split("train").batch(torch.arange(70))
    assert images.shape == (70, *small.input_shape) == (70, 3, 48, 48) and depths.shape == (70, 1, 48, 48)
    assert images.dtype == depths.dtype == torch.float32 and small.classes == ("depth",)
    assert abs(images.mean()) < 0.2 and abs(images.std() - 1) < 0.2
    known = depths[depths > 0]
    assert known.min() >= NEAR and known.max() <= FAR and known.numel() > 0.95 * depths.numel()


def test_another_resolution_and_seed() -> None:
    one, other = (
        open_task(SMALL.model_copy(update={"resolution": (16, 24), "seed": seed})).split("test").batch(torch.arange(3))
        for seed in (0, 1)
    )
    assert one[0].shape == (3, 3, 16, 24) and one[1].shape == (3, 1, 16, 24) and not torch.equal(one[1], other[1])


def test_sizes_are_smaller_than_those_of_digits_unless_told() -> None:
    images, depths = draw_scenes(3, 8, 8, RawRandom(0, "depth_scenes", "weights"))
    assert images.shape == (3, 3, 8, 8) and depths.dtype == np.float32
    assert TaskConfig(data="depth_scenes").kind == "depth" and TaskConfig().kind == "classification"


@pytest.mark.parametrize(
    ("change", "named"), [({"channels": 1}, "channels"), ({"crop": 0.5}, "crop"), ({"classes": "1,2"}, "classes")]
)
def test_refuses(change: dict[str, object], named: str) -> None:
    with pytest.raises(BadData, match=f"drawn at random, got {named}; leave"):
        open_task(SMALL.model_copy(update=change))


@pytest.mark.parametrize("given", ["torchvision:CIFAR10@data", "depth_scenes"])
def test_names_of_data_stay_names(given: str) -> None:
    assert data_path(given) == given


def test_folders_of_data_hold_wherever_a_run_is_resumed() -> None:
    assert (
        data_path("some") == f"{Path.cwd()}/some"
        and data_path("depth_folder:some") == f"depth_folder:{Path.cwd()}/some"
    )
