"""The embedded task: the same bits everywhere, no digit in two splits, plain refusals."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nascc.nas.errors import BadData, RunMismatch, SearchError
from nascc.nas.tasks import SPLITS, Sizes, TaskConfig, cluttered_digits, open_task
from nascc.nas.tasks.classes import choose_classes
from nascc.nas.tasks.clutter import draw_images, upscaled
from nascc.nas.tasks.division import divide
from nascc.nas.tasks.raw_random import RawRandom

SMALL = TaskConfig(sizes=Sizes(weights=200, alpha=100, valid=30, test=70))


def test_images_are_the_same_bits_everywhere() -> None:
    assert open_task(SMALL).config.fingerprint == "c3d8c71c17ab63a927d4e38c8be6a63b0955d82bd7584c58d7377d6024cbf935"


def test_images_are_normalised_grey_and_balanced() -> None:
    task = open_task(TaskConfig(sizes=Sizes(weights=1000, alpha=10, valid=10, test=10)))
    images, labels = task.split("weights").batch(torch.arange(1000))
    assert images.shape == (1000, *task.input_shape) == (1000, 1, 24, 24) and images.dtype == torch.float32
    assert abs(images.mean()) < 0.05 and abs(images.std() - 1) < 0.05
    assert labels.bincount(minlength=10).min() > 60


def test_splits_have_their_sizes_and_share_no_source_digit() -> None:
    task = open_task(SMALL)
    assert {name: len(task.split(name)) for name in SPLITS} == {
        "train": 330, "weights": 200, "alpha": 100, "valid": 30, "test": 70,
    }  # fmt: skip
    digits, labels = cluttered_digits._source_digits()
    groups = np.unique(digits.reshape(len(digits), -1), axis=0, return_inverse=True)[1].ravel().tolist()
    sources = divide(labels.tolist(), groups, cluttered_digits.SOURCES, 0, task.classes)
    used = [{groups[i] for i in sources[name].tolist()} for name in SPLITS[1:]]
    assert sum(map(len, used)) == len(set().union(*used)) and len(used[-1]) == pytest.approx(597, abs=5)


def test_the_order_of_a_batch_is_the_order_asked_for() -> None:
    split = open_task(SMALL).split("test")
    some = torch.tensor([5, 3, 5])
    images, labels = split.batch(some)
    everything, every_label = split.batch(torch.arange(len(split)))
    assert torch.equal(images, everything[some]) and torch.equal(labels, every_label[some])


def test_another_resolution_and_fewer_classes() -> None:
    task = open_task(SMALL.model_copy(update={"resolution": (32, 16), "classes": "3,1"}))
    images, labels = task.split("valid").batch(torch.arange(30))
    assert images.shape == (30, 1, 32, 16) and task.classes == ("1", "3") and set(labels.tolist()) == {0, 1}


def test_a_resolved_config_opens_the_same_task() -> None:
    first = open_task(SMALL.model_copy(update={"classes": "random:4", "seed": 3}))
    again = open_task(TaskConfig.model_validate_json(first.config.model_dump_json()))
    assert again.config == first.config and again.classes == first.config.classes and len(again.classes) == 4


def test_seeds_give_other_images() -> None:
    assert open_task(SMALL.model_copy(update={"seed": 1})).config.fingerprint != open_task(SMALL).config.fingerprint


def test_changed_data_are_noticed() -> None:
    with pytest.raises(RunMismatch, match="those the run began with"):
        open_task(SMALL.model_copy(update={"fingerprint": "0" * 64}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"channels": 3}, "are grey, .* got channels"),
        ({"crop": 0.5}, "got crop"),
        ({"classes": "random:1"}, "N from 2 to 10"),
        ({"classes": "random:x"}, "N from 2 to 10"),
        ({"classes": "1,eleven"}, "none called 'eleven'"),
        ({"classes": "4"}, "two classes or more, found 1: 4"),
        ({"classes": "4,4"}, "two classes or more, found 1"),
    ],
)
def test_refuses(change: dict[str, object], reason: str) -> None:
    with pytest.raises(BadData, match=reason):
        open_task(SMALL.model_copy(update=change))


def test_a_missing_split_is_named() -> None:
    with pytest.raises(SearchError, match="must have a split 'val', found train"):
        open_task(SMALL).split("val")


@pytest.mark.parametrize("wrong", [{"resolution": 4}, {"shares": {"test": 0.5}}, {"sizes": {"test": 0}}, {"size": 1}])
def test_configs_are_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TaskConfig.model_validate(wrong)


def test_random_classes_are_kept_in_order() -> None:
    found = [f"class {i:03}" for i in range(50)]
    chosen = choose_classes("random:10", found, seed=1)
    assert len(chosen) == 10 and list(chosen) == sorted(chosen) and chosen == choose_classes("random:10", found, 1)
    assert chosen != choose_classes("random:10", found, 2) and choose_classes(chosen, found, 2) == chosen


@given(
    labels=st.lists(st.integers(0, 2), min_size=40, max_size=90),
    equals=st.integers(1, 3),
    shares=st.lists(st.floats(0.05, 1), min_size=2, max_size=4),
    seed=st.integers(0, 99),
)
def test_division_keeps_equals_together_and_shares(
    labels: list[int], equals: int, shares: list[float], seed: int
) -> None:
    labels = sorted(labels + [0, 1, 2] * 8)
    groups = [index // equals for index in range(len(labels))]
    wanted = {f"part {i}": share for i, share in enumerate(shares)}
    parts = divide(labels, groups, wanted, seed, ["a", "b", "c"])
    indices = [i for part in parts.values() for i in part.tolist()]
    assert sorted(indices) == list(range(len(labels)))
    owner = {groups[i]: name for name, part in parts.items() for i in part.tolist()}
    assert all(owner[groups[i]] == name for name, part in parts.items() for i in part.tolist())
    if equals == 1:
        for name, share in wanted.items():
            for label in range(3):
                exact = labels.count(label) * share / sum(shares)
                got = sum(labels[i] == label for i in parts[name].tolist())
                assert got >= 1 and abs(got - exact) <= 1 + len(shares)


def test_division_needs_an_image_of_each_class_in_each_split() -> None:
    with pytest.raises(BadData, match="3 different images or more, .*found 'b' with 2; add"):
        divide([0] * 9 + [1] * 4, [*range(9), 9, 9, 9, 10], {"x": 1, "y": 1, "z": 1}, 0, ["a", "b"])


def test_raw_random_is_pinned_and_even() -> None:
    assert RawRandom(0, "test").below(1000, 5).tolist() == [393, 684, 719, 265, 92]
    noise = RawRandom(0, "noise").noise(300, 301)
    assert abs(noise.mean()) < 2 and abs(noise.std() - 147.8) < 1 and noise.min() >= -510 and noise.max() <= 510
    below = RawRandom(0, "below").below(7, 7000)
    assert np.bincount(below, minlength=7).min() > 850 and below.max() == 6
    assert sorted(RawRandom(0, "order").order(50).tolist()) == list(range(50))


def test_upscaling_is_bilinear() -> None:
    digits = np.random.default_rng(0).integers(0, 17, (3, 8, 8)).astype(np.int32)
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(digits)[:, None].double(), scale_factor=2, mode="bilinear", align_corners=False
    )
    np.testing.assert_array_equal(upscaled(digits), 16 * wanted[:, 0].numpy())


def test_a_digit_is_drawn_where_nothing_else_is() -> None:
    sources = np.stack([np.full((16, 16), 256), np.zeros((16, 16))]).astype(np.int32)
    images = draw_images(sources, np.array([0, 1], dtype=np.int32), RawRandom(0, "draw")).astype(int)
    assert images[0].mean() > 80 > images[1].mean()
