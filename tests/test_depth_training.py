"""Training for depths: masked loss, metrics by hand, killed trainings, and refusals of what needs classes."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nascc.nas.core.randomness import generator
from nascc.nas.errors import SearchError
from nascc.nas.methods import METHODS
from nascc.nas.methods.configure import configure
from nascc.nas.tasks import Kind, Sizes, Split, Task, TaskConfig, open_task
from nascc.nas.train import (
    DepthEvaluation,
    Recipe,
    depth_distillation,
    depth_loss,
    evaluate,
    judge,
    load_recipe,
    objective_of,
    train,
)
from nascc.nas.train.evaluation import measures_of
from nascc.nas.zoo import ARCHITECTURES

SHORT = Recipe(epochs=2, batch_size=16, lr=0.05, schedule="one_cycle", clip=5.0)


@pytest.fixture(scope="module")
def scenes() -> Task:
    return open_task(TaskConfig(data="depth_scenes", sizes=Sizes(weights=40, alpha=10, valid=14, test=20)))


def network(seed: int = 0) -> nn.Module:
    return copy.deepcopy(ARCHITECTURES["fastdepth_toy"](seed=seed))


def maps(*rows: list[float]) -> Tensor:
    """[1, 1, H, W]."""
    return torch.tensor(rows)[None, None]


def test_unknown_pixels_count_nowhere() -> None:
    depths = maps([2.0, 0.0], [0.0, 4.0])
    one = maps([2.5, 7.0], [-3.0, 3.0]).requires_grad_()
    loss = depth_loss(one, depths)
    assert loss.item() == pytest.approx((0.5 + 1.0) / 2)
    loss.backward()  # type: ignore[no-untyped-call]
    assert one.grad is not None and one.grad.flatten().tolist() == [0.5, 0, 0, -0.5]


def test_a_batch_that_tells_nothing_teaches_nothing() -> None:
    outputs = torch.full((2, 1, 3, 3), math.inf).requires_grad_()
    loss = depth_loss(outputs, torch.zeros(2, 1, 3, 3))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0 and outputs.grad is not None and not outputs.grad.any()


class Fixed(Split):
    """Depths of two images, the second known in one pixel."""

    @property
    def kind(self) -> Kind:
        return "depth"

    def batch(self, indices: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        depths = torch.cat([maps([1.0, 2.0, 4.0]), maps([0.0, 5.0, 0.0])])
        return torch.zeros(len(indices), 1, 1, 3), depths[indices]


FIXED = Fixed("test", None, torch.arange(2), torch.zeros(2))  # type: ignore[arg-type]


@pytest.mark.parametrize("batch_size", [1, 2])
def test_metrics_are_those_computed_by_hand(batch_size: int) -> None:
    """Errors .2, -.5, 1.2 and 0: factors 1.2, 2 / 1.5 = 1.33, 1.3 and 1."""
    answers = torch.cat([maps([1.2, 1.5, 5.2]), maps([9.0, 5.0, 9.0])])
    seen: list[int] = []

    def answer(images: Tensor) -> Tensor:
        start = sum(seen)
        seen.append(len(images))
        return answers[start : start + len(images)]

    found = judge(answer, FIXED, batch_size)
    assert isinstance(found, DepthEvaluation) and found.images == 2
    assert found.rmse == pytest.approx(math.sqrt((0.04 + 0.25 + 1.44 + 0) / 4), rel=1e-6)
    assert found.delta1 == 0.5 and found.loss == pytest.approx((0.2 + 0.5 + 1.2) / 4, rel=1e-6)
    assert found.score == -found.rmse and list(measures_of(found)) == ["loss", "rmse", "delta1"]


@pytest.mark.parametrize(("output", "right"), [(1.25, 0.0), (1.2499, 1.0), (0.8, 0.0), (0.8001, 1.0), (-1.0, 0.0)])
def test_a_depth_is_right_below_a_factor_of_125_percent(output: float, right: float) -> None:
    sums = objective_of(FIXED).sums(maps([output]), maps([1.0]))
    assert sums["within"].item() == right and sums["pixels"].item() == 1


def test_a_teacher_gives_depths_everywhere() -> None:
    outputs, taught = maps([1.0, 2.0]), maps([2.0, 0.5])
    assert depth_distillation(outputs, taught, 0.5).item() == pytest.approx(0.5 * 1.25)
    recipe = Recipe.model_validate(SHORT.model_dump() | {"distillation": {"weight": 0.5}})
    loss = objective_of(FIXED).loss(outputs, maps([0.0, 2.5]), recipe, taught)
    assert loss.item() == pytest.approx(0.5 + 0.625)
    with pytest.raises(SearchError, match=r"one depth a pixel, \[1, 1, 1, 2\], got \[1, 1, 1, 1\]"):
        depth_distillation(outputs, taught[..., :1], 1.0)


def test_outputs_of_another_size_are_refused(scenes: Task) -> None:
    with pytest.raises(SearchError, match=r"must give one depth a pixel, \[20, 1, 48, 48\], got \[20, 1, 24"):
        judge(nn.Sequential(nn.Conv2d(3, 1, 1, stride=2)), scenes.split("test"))


def test_a_few_steps_lower_the_loss_and_a_killed_training_ends_the_same(scenes: Task) -> None:
    saved: list[dict[str, Any]] = []
    save: Callable[[dict[str, Any]], None] = lambda state: saved.append(copy.deepcopy(state))  # noqa: E731
    module, split, valid = network(), scenes.split("train"), scenes.split("test")
    before = judge(module, valid)
    wanted = train(module, split, SHORT, seed=3, valid=valid, checkpoint=save, every=3)
    found = judge(module, valid)
    assert isinstance(found, DepthEvaluation) and found.loss < 0.9 * before.loss
    assert set(wanted.series) == {"lr", "loss", "rmse", "delta1", "valid_loss", "valid_rmse", "valid_delta1"}
    assert wanted.series["valid_rmse"][-1] == found.rmse
    resumed = network(seed=1)
    assert train(resumed, split, SHORT, seed=3, valid=valid, state=saved[0]) == wanted
    assert judge(resumed, valid) == found


def test_a_teacher_is_followed(scenes: Task) -> None:
    recipe = Recipe.model_validate(SHORT.model_dump() | {"epochs": 1, "distillation": {"weight": 20.0}})
    split, teacher = scenes.split("train"), lambda images: torch.full((len(images), 1, 48, 48), 9.0)
    plain, taught = network(), network()
    train(plain, split, recipe, seed=3)
    train(taught, split, recipe, seed=3, teacher=teacher)
    images = torch.randn(4, 3, 48, 48, generator=generator(0, "images"))
    assert taught(images).mean() > plain(images).mean()


def test_accuracies_need_classes(scenes: Task) -> None:
    with pytest.raises(SearchError, match="needs a task of kind classification, got the depth split 'test'"):
        evaluate(network(), scenes.split("test"))


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if "depth" not in method.kinds])
def test_methods_for_classes_refuse_depths(name: str) -> None:
    with pytest.raises(SearchError, match=f"'{name}' learns classification, and 'depth_scenes' is .* of kind depth"):
        configure(METHODS[name], "toy", "cpu", TaskConfig(data="depth_scenes"), {})


@pytest.mark.slow
def test_a_small_network_learns_depths_far_better_than_guessing() -> None:
    task = open_task(TaskConfig(data="depth_scenes"))
    depths = task.split("train").batch(torch.arange(500))[1]
    mean = float(depths[depths > 0].mean())
    guessed = judge(lambda images: torch.full((len(images), 1, 48, 48), mean), task.split("test"))
    train(module := network(), task.split("train"), load_recipe("toy_depth"), seed=0)
    found = judge(module, task.split("test"))
    assert isinstance(found, DepthEvaluation) and found.score > 0.55 * guessed.score and found.delta1 > 0.75
