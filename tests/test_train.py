"""Training: it learns, a killed one ends where an undisturbed one does, and the pieces do what recipes say."""

import copy
import io
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nascc.nas.core.randomness import generator
from nascc.nas.errors import BadData, Diverged, RunMismatch, SearchError
from nascc.nas.tasks import Images, Sizes, Split, Task, TaskConfig, open_task
from nascc.nas.train import (
    Batches,
    Distillation,
    ReadAhead,
    Recipe,
    Training,
    build_ema,
    build_optimiser,
    descend,
    distillation_loss,
    evaluate,
    learning_rate,
    load_recipe,
    recipe_names,
    train,
    training_loss,
)
from nascc.nas.train.schedule import cosine, one_cycle

SHORT = Recipe(epochs=2, batch_size=16, lr=0.05, weight_decay=1e-3, clip=5.0, label_smoothing=0.1, warmup_epochs=1)


class Noisy(Images):
    """Images in memory; augmentation adds noise."""

    def __init__(self, count: int, slow: bool = False) -> None:
        self.stored, self.slow = torch.randn(count, 1, 8, 8, generator=generator(0, "stored")), slow

    def batch(self, indices: Tensor, generator: torch.Generator | None) -> Tensor:
        if bool((indices == 999).any()):
            raise BadData("'999.png' must be an image")
        images = self.stored[indices]
        return images if generator is None else images + 0.1 * torch.randn(images.shape, generator=generator)


def noisy(count: int = 100, slow: bool = False) -> Split:
    return Split("train", Noisy(count, slow), torch.arange(count), torch.arange(count) % 4)


def network(dropout: float = 0.2, seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
            nn.Conv2d(8, 8, 3, stride=2, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), nn.Linear(8, 4),
        )  # fmt: skip


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


class Killed(Exception):
    """Stands for kill -9."""


class KillAfter:
    """Progress that ends a training after a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def update(self, phase: str, done: int, total: int, **shown: float | str) -> None:
        if done == self.step:
            raise Killed


def written(state: dict[str, Any]) -> dict[str, Any]:
    """Through a file and back."""
    torch.save(state, buffer := io.BytesIO())
    buffer.seek(0)
    loaded: dict[str, Any] = torch.load(buffer, weights_only=True)
    return loaded


VARIANTS: dict[str, tuple[dict[str, object], bool]] = {
    "plain": ({}, False),
    "averaged": ({"ema": 0.9}, False),
    "taught": ({"distillation": {"temperature": 2.0}}, True),
    "one_cycle": ({"schedule": "one_cycle", "warmup_epochs": 0, "clip": None, "nesterov": True}, False),
}


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_killed_training_ends_where_an_undisturbed_one_does(variant: str, slow: bool) -> None:
    changes, taught = VARIANTS[variant]
    recipe = Recipe.model_validate(SHORT.model_dump() | changes)
    teacher = network(seed=5) if taught else None
    split, valid = noisy(slow=slow), noisy(20)
    undisturbed = network()
    wanted = train(undisturbed, split, recipe, seed=3, teacher=teacher, valid=valid)
    assert wanted.steps == 12 and not undisturbed.training
    kill = random.Random(variant).randrange(4, 12)
    saved: list[dict[str, Any]] = []
    checkpoint: Callable[[dict[str, Any]], None] = lambda state: saved.append(written(state))  # noqa: E731
    with pytest.raises(Killed):
        train(
            network(), split, recipe, seed=3, teacher=teacher, valid=valid,
            checkpoint=checkpoint, every=3, progress=KillAfter(kill),
        )  # fmt: skip
    resumed = network(seed=9)
    found = train(resumed, split, recipe, seed=3, teacher=teacher, valid=valid, state=saved[-1], checkpoint=checkpoint)
    assert found == wanted and same(resumed, undisturbed)
    ended = network(seed=10)
    assert train(ended, split, recipe, seed=3, teacher=teacher, valid=valid, state=saved[-1]) == wanted
    assert same(ended, undisturbed)


def test_seeds_decide_and_the_global_generator_stays() -> None:
    before = torch.get_rng_state()
    ends = []
    for seed in (1, 1, 2):
        train(module := network(), noisy(), SHORT, seed=seed)
        ends.append(module)
    assert torch.equal(torch.get_rng_state(), before)
    assert same(ends[0], ends[1]) and not same(ends[0], ends[2])


def test_dropout_follows_from_the_step() -> None:
    losses = [train(network(dropout), noisy(), SHORT, seed=1).series["loss"] for dropout in (0.5, 0.5, 0.0)]
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    ("changes", "named"), [({"seed": 4}, "seed"), ({"phase": "search"}, "phase"), ({"lr": 0.01}, "recipe")]
)
def test_a_state_of_another_training_is_refused(changes: dict[str, Any], named: str) -> None:
    state = Training(network(), noisy(), SHORT, seed=3).state()
    recipe = SHORT.model_copy(update={key: value for key, value in changes.items() if key == "lr"})
    options: dict[str, Any] = {"seed": 3, "phase": "retrain"} | {
        key: value for key, value in changes.items() if key != "lr"
    }
    with pytest.raises(RunMismatch, match=f"found another {named}"):
        train(network(), noisy(), recipe, state=state, **options)
    with pytest.raises(RunMismatch, match="found another images"):
        train(network(), noisy(90), SHORT, seed=3, state=state)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state() -> None:
    saved: list[dict[str, Any]] = []
    split = noisy()
    assert isinstance(split.images, Noisy)
    order = Batches(split, 16, 3, "retrain")
    split.images.stored[order.indices(4)[0]] = math.nan
    with pytest.raises(Diverged, match="must be finite, got nan"):
        train(network(), split, SHORT, seed=3, checkpoint=saved.append, every=1)
    assert saved[-1]["done"] == 4
    assert all(bool(tensor.isfinite().all()) for tensor in saved[-1]["module"].values())


def test_weights_that_are_no_numbers_are_not_handed_on() -> None:
    class Exploding(nn.Module):
        """Finite logits whose gradient is not."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(4))

        def forward(self, images: Tensor) -> Tensor:
            return self.weight.sqrt() + images.mean(dim=(1, 2, 3))[:, None]

    saved: list[dict[str, Any]] = []
    with pytest.raises(Diverged):
        train(Exploding(), noisy(), SHORT, seed=3, checkpoint=saved.append, every=1)
    assert not saved


def test_an_image_that_can_not_be_read_says_so_through_threads() -> None:
    split = Split("train", Noisy(32, slow=True), torch.full((32,), 999), torch.zeros(32, dtype=torch.long))
    with pytest.raises(BadData, match="'999.png' must be an image"):
        train(network(), split, SHORT, seed=0)


def test_batches_take_every_image_once_an_epoch() -> None:
    batches = Batches(noisy(50), 16, seed=1)
    assert batches.steps_per_epoch == 3
    epochs = [torch.cat([batches.indices(3 * epoch + step) for step in range(3)]) for epoch in range(2)]
    assert all(len(set(epoch.tolist())) == 48 for epoch in epochs) and not torch.equal(*epochs)
    assert torch.equal(Batches(noisy(50), 16, seed=1).indices(4), batches.indices(4))
    assert not torch.equal(Batches(noisy(50), 16, seed=1, label="alpha").indices(4), batches.indices(4))
    assert Batches(noisy(5), 16, seed=1).steps_per_epoch == 1


def test_reading_ahead_changes_nothing() -> None:
    plain, ahead = Batches(noisy(), 16, seed=1), ReadAhead(Batches(noisy(slow=True), 16, seed=1), total=14)
    for step in [*range(5), 9, *range(3, 14)]:
        images, labels = ahead(step)
        assert torch.equal(images, plain(step)[0]) and torch.equal(labels, plain(step)[1])


def test_evaluation_counts_and_leaves_modes_alone() -> None:
    module, split = network(dropout=0.5).train(), noisy(30)
    module[1].eval()
    found = evaluate(module, split, batch_size=7)
    assert module.training and module[8].training and not module[1].training
    images, labels = split.batch(torch.arange(30))
    logits = copy.deepcopy(module).eval()(images)
    assert found.accuracy == int((logits.argmax(1) == labels).sum()) / 30 and found.images == 30
    assert found.loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-6)
    perfect = evaluate(lambda images: 50.0 * torch.eye(4)[: len(images)], noisy(4))
    assert perfect.accuracy == 1.0 and perfect.loss == 0.0


@pytest.mark.parametrize("decay_norms", [False, True])
def test_norms_and_biases_decay_when_asked_to(decay_norms: bool) -> None:
    module = network()
    for parameter in module.parameters():
        parameter.data.fill_(1.0)
        parameter.grad = torch.zeros_like(parameter)
    recipe = SHORT.model_copy(update={"decay_norms": decay_norms, "weight_decay": 0.1, "momentum": 0.0})
    assert descend(build_optimiser(module, recipe), lr=1.0) is None
    for name, parameter in module.named_parameters():
        wanted = 0.9 if parameter.ndim > 1 or decay_norms else 1.0
        torch.testing.assert_close(parameter.detach(), torch.full_like(parameter, wanted), msg=name)


def test_untouched_parameters_keep_weights_and_momentum() -> None:
    used, unused = nn.Linear(2, 2), nn.Linear(2, 2)
    optimiser = build_optimiser([*used.parameters(), *unused.parameters()], SHORT)
    for module in (used, unused):
        module(torch.ones(1, 2)).sum().backward()
    norm = descend(optimiser, lr=0.1, clip=0.5)
    assert norm is not None and norm > 0.5 and all(p.grad is None for p in used.parameters())
    before, momentum = copy.deepcopy(unused), optimiser.state[unused.weight]["momentum_buffer"].clone()
    used(torch.ones(1, 2)).sum().backward()
    descend(optimiser, lr=0.1, clip=0.5)
    assert same(unused, before) and torch.equal(optimiser.state[unused.weight]["momentum_buffer"], momentum)


def test_gradients_are_clipped() -> None:
    module = nn.Linear(3, 1, bias=False)
    module.weight.grad = torch.tensor([[30.0, 0.0, 40.0]])
    start = module.weight.detach().clone()
    plain = SHORT.model_copy(update={"momentum": 0.0, "weight_decay": 0.0})
    assert descend(build_optimiser(module, plain), lr=1.0, clip=5.0) == pytest.approx(50.0)
    torch.testing.assert_close(start - module.weight.detach(), torch.tensor([[3.0, 0.0, 4.0]]), rtol=1e-5, atol=1e-6)


def test_cosine_warms_up_and_falls_to_zero() -> None:
    recipe = load_recipe("lightnas")
    rates = [learning_rate(recipe, step, 10) for step in range(3600)]
    assert rates[0] == 0.1 and rates[25] == pytest.approx(0.3) and rates[50] == 0.5 == max(rates)
    assert rates[50 + 3550 // 2] == pytest.approx(0.25) and 0 < rates[-1] < 1e-6
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert [cosine(share) for share in (-1, 0, 0.5, 1, 2)] == pytest.approx([1, 1, 0.5, 0, 0], abs=1e-15)


def test_exponential_falls_as_often_as_it_is_told() -> None:
    recipe = SHORT.model_copy(
        update={"schedule": "exponential", "lr": 2.0, "decay": 0.5, "decay_epochs": 1.5, "warmup_epochs": 0}
    )
    assert [learning_rate(recipe, step, 2) for step in range(7)] == [2, 2, 2, 1, 1, 1, 0.5]


def test_one_cycle_rises_and_falls() -> None:
    recipe = load_recipe("toy")
    rates = [learning_rate(recipe, step, 100) for step in range(300)]
    assert rates[0] == pytest.approx(0.1 / 25) and rates[90] == pytest.approx(0.1) == max(rates)
    assert rates[:91] == sorted(rates[:91]) and rates[90:] == sorted(rates[90:], reverse=True) and rates[-1] < 1e-5
    assert one_cycle(1.0) == pytest.approx(0.0, abs=1e-15)


def test_teachers_pull_towards_themselves() -> None:
    logits, taught = torch.randn(5, 4, generator=generator(0)), torch.randn(5, 4, generator=generator(1))
    softened = Distillation(weight=0.5, temperature=2.0)
    assert distillation_loss(taught, taught, softened).item() == pytest.approx(0.0, abs=1e-7)
    p, q = (taught / 2).softmax(1), (logits / 2).softmax(1)
    wanted = 0.5 * 4 * (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(distillation_loss(logits, taught, softened), wanted)
    labels = torch.tensor([0, 1, 2, 3, 0])
    recipe = SHORT.model_copy(update={"distillation": softened})
    difference = training_loss(logits, labels, recipe, taught) - training_loss(logits, labels, recipe)
    torch.testing.assert_close(difference, wanted)
    with pytest.raises(SearchError, match=r"one number a class, \[N, 4\], got \[5, 3\] for 5 images"):
        distillation_loss(logits, taught[:, :3], softened)


def test_averages_follow_and_forget_their_start() -> None:
    module = nn.BatchNorm1d(1)
    ema = build_ema(module, decay=0.5)
    averages = []
    for value in (1.0, 2.0, 3.0, 4.0):
        module.load_state_dict({name: torch.full_like(t, value) for name, t in module.state_dict().items()})
        ema.update_parameters(module)
        averages.append([float(ema.module.state_dict()[name]) for name in ("weight", "running_var")])
        assert int(ema.module.state_dict()["num_batches_tracked"]) == value
    expected = [1.0]
    for updates, value in ((1, 2.0), (2, 3.0), (3, 4.0)):
        kept = min(0.5, updates / (updates + 9))
        expected.append(kept * expected[-1] + (1 - kept) * value)
    assert [weight for weight, _ in averages] == pytest.approx(expected) == [variance for _, variance in averages]


def test_averaged_weights_are_the_ones_kept() -> None:
    plain, averaged = network(), network()
    train(plain, noisy(), SHORT, seed=1)
    train(averaged, noisy(), SHORT.model_copy(update={"ema": 0.99}), seed=1)
    assert not same(plain, averaged)


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_load_and_survive_json(name: str) -> None:
    recipe = load_recipe(name)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe and recipe.clip == 5.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("epochs = 0\nbatch_size = 32\nlr = -1", "epochs: .*; lr: "),
        ("epochs = 1\nbatch_size = 32\nlr = 1\nmomentun = 0.5", "momentun: there is no such field; try momentum"),
        ("epochs = 1\nbatch_size = 2\nlr = inf", "lr: "),
        (
            "epochs = 1\nbatch_size = 2\nlr = 1\nschedule = 'one_cycle'\nwarmup_epochs = 0.5",
            "one_cycle rises by itself",
        ),
        ("epochs = 1\nbatch_size = 2\nlr = 1\nwarmup_epochs = 1", "shorter than 1 epochs, got 1"),
        ("epochs = 1\nbatch_size = 2\nlr = 1\nmomentum = 0\nnesterov = true", "nesterov needs a momentum"),
        ("epochs =", "must be TOML"),
    ],
)
def test_recipes_are_checked(tmp_path: Any, text: str, reason: str) -> None:
    (path := tmp_path / "mine.toml").write_text(text)
    with pytest.raises(SearchError, match=reason):
        load_recipe(path)


def test_unknown_recipes_have_near_matches() -> None:
    with pytest.raises(SearchError, match="one of lightnas, got 'lightnass'"):
        load_recipe("lightnass")
    with pytest.raises(SearchError, match="readable UTF-8 file"):
        load_recipe("missing.toml")


@pytest.fixture(scope="module")
def digits() -> Task:
    return open_task(TaskConfig(classes="0,1", sizes=Sizes(weights=300, alpha=300, valid=100, test=200)))


def test_a_small_network_learns_two_digits(digits: Task) -> None:
    module = nn.Sequential(
        nn.Conv2d(1, 8, 5, 2, 2, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 16, 5, 2, 2, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip
    for index, parameter in enumerate(p for p in module.parameters() if p.ndim > 1):
        nn.init.kaiming_normal_(parameter, generator=generator(0, index))
    result = train(module, digits.split("train"), load_recipe("toy").model_copy(update={"epochs": 4}), seed=0)
    assert result.series["accuracy"][-1] > result.series["accuracy"][0]
    assert evaluate(module, digits.split("test")).accuracy > 0.9
