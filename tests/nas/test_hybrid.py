"""Activations that become linear while a network is trained: their law, their schedule, and who sees them before."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from kit import ir, randomised
from nas.search_kit import tiny_macro
from nascc.nas.blocks.hybrid_activation import HybridActivation
from nascc.nas.blocks.linear_mbconv import LinearMBConv
from nascc.nas.checkpoint import load_checkpoint, notes, save_checkpoint
from nascc.nas.core import Ctx
from nascc.nas.core.randomness import generator
from nascc.nas.errors import SearchError
from nascc.nas.tasks import Images, Split
from nascc.nas.train import Recipe, Training
from nascc.nas.train.linearisation import hybrids, install_hybrids
from nascc.nas.train.recipe import Linear
from nascc.nas.zoo import ARCHITECTURES
from nascc.passes import CollapseLinear, run_pass
from nascc.runtime.errors import CorruptFile
from nascc.tools.app import main

X = torch.tensor([-3.0, -0.5, 0.0, 2.0, 6.0, 14.0])
HYBRID = Recipe(epochs=4, batch_size=16, lr=0.05, clip=5.0, linear=Linear(training="hybrid", epochs=2, every="epoch"))


def test_slope_0_is_the_activation_and_slope_1_the_identity() -> None:
    assert torch.equal(HybridActivation("relu6", 0.0)(X), X.clamp(0, 6))
    torch.testing.assert_close(HybridActivation("relu6", 1.0)(X), X)
    torch.testing.assert_close(HybridActivation("relu6", 0.25)(X), 0.75 * X.clamp(0, 6) + 0.25 * X)


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0])
def test_where_it_saturates_the_derivative_is_the_slope(slope: float) -> None:
    x = torch.tensor([-2.0, 3.0, 9.0], requires_grad=True)
    HybridActivation("relu6", slope)(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([slope, 1.0, slope]))


@pytest.mark.parametrize(("epoch", "slope"), [(0, 0.0), (60, 0.5), (119, 119 / 120), (120, 1.0), (200, 1.0)])
def test_the_published_schedule(epoch: int, slope: float) -> None:
    per_epoch = 10
    linear = Linear(training="hybrid", epochs=120)
    assert linear.slope(epoch * per_epoch, per_epoch) == pytest.approx(slope)
    assert linear.slope(epoch * per_epoch + 9, per_epoch) == pytest.approx(slope)
    steps = linear.model_copy(update={"every": "step"})
    assert steps.slope(epoch * per_epoch + 5, per_epoch) == pytest.approx(min(1, (epoch + 0.5) / 120))
    assert Linear().slope(0, per_epoch) == 1


def test_activations_must_be_linear_when_training_ends() -> None:
    with pytest.raises(ValueError, match="linear.epochs must be at most epochs, 4, got 5"):
        Recipe(epochs=4, batch_size=16, lr=0.1, linear=Linear(training="hybrid", epochs=5))


class Noise(Images):
    """Images in memory."""

    def batch(self, indices: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
        return STORED[indices]


STORED = torch.randn(80, 4, 8, 8, generator=generator(0, "stored"))
SPLIT = Split("train", Noise(), torch.arange(80), torch.arange(80) % 3)


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = LinearMBConv(Ctx((4, 8, 8), 6, 2), 3, 3)
        return nn.Sequential(block, nn.Flatten(), nn.Linear(96, 3))


def trained(recipe: Recipe, until: int | None = None) -> Training:
    training = Training(network(), SPLIT, recipe, seed=0)
    for step in range(training.total if until is None else until):
        training.step(step)
    return training


def test_it_starts_non_linear_and_ends_with_identities() -> None:
    training = trained(HYBRID, 1)
    assert [float(part.slope) for part in hybrids(training.module)] == [0.0, 0.0]
    for step in range(1, 6):
        training.step(step)
    assert training.slope == 0.5
    for step in range(6, 11):
        training.step(step)
    assert training.slope is None and not hybrids(training.module)
    for step in range(11, training.total):
        training.step(step)
    assert training.series["slope"] == [0.0, 0.5, 1.0, 1.0]
    assert "inner" not in " ".join(training.finish().state_dict())


def test_batch_norms_are_recalibrated_when_the_activations_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []

    def recalibrate(module: nn.Module, batches: list[torch.Tensor]) -> None:
        assert not hybrids(module)
        called.append(len(batches))

    monkeypatch.setattr("nascc.nas.train.linearisation.recalibrate", recalibrate)
    trained(HYBRID.model_copy(update={"ema": 0.9}))
    assert called == [5, 5]  # the batches of an epoch, for the network and for its average


def test_activations_that_are_linear_at_the_very_end_are_replaced_too() -> None:
    last = HYBRID.model_copy(update={"linear": Linear(training="hybrid", epochs=4)})
    training = trained(last)
    assert training.slope == 0.75
    assert not hybrids(training.finish())


@pytest.mark.parametrize("ema", [None, 0.9])
@pytest.mark.parametrize("at", [3, 9, 10, 11, 17])
def test_a_killed_training_ends_as_if_it_was_not(at: int, ema: float | None) -> None:
    recipe = HYBRID.model_copy(update={"ema": ema})
    whole = trained(recipe).finish()
    state = copy.deepcopy(trained(recipe, at).state())
    resumed = Training(network(), SPLIT, recipe, seed=0)
    resumed.load(state)
    assert resumed.slope == (0.0 if at == 3 else 0.5 if at in (9, 10) else None)
    for step in range(at, resumed.total):
        resumed.step(step)
    own = resumed.finish().state_dict()
    assert all(torch.equal(value, own[name]) for name, value in whole.state_dict().items())


def test_a_state_of_another_schedule_is_refused() -> None:
    state = trained(HYBRID, 3).state()
    other = Training(network(), SPLIT, HYBRID.model_copy(update={"linear": Linear()}), seed=0)
    with pytest.raises(SearchError, match="another recipe"):
        other.load(state)


@pytest.mark.parametrize("activation", ["relu6", "hard_swish"])
@pytest.mark.parametrize(("slope", "advice"), [(0.25, "train it until then"), (1.0, "put an identity in its place")])
def test_the_pass_refuses_and_names_the_slope(activation: str, slope: float, advice: str) -> None:
    block = randomised(LinearMBConv(Ctx((4, 8, 8), 4, 1, activation), 3, 3))
    install_hybrids(block, slope)
    reasons = [reject.reason for reject in run_pass(CollapseLinear(mode="always"), ir(block, STORED[:1])).rejects]
    told = {reason for reason in reasons if f"slope {slope:g}," in reason and advice in reason}
    assert {reason.split(" ")[0] for reason in told} == {"'inner.0'", "'inner.1'"}


class Almost(nn.Module):
    """Sums that look like a hybrid activation and are none."""

    def __init__(self, mix: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.mix = mix

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mix(x, x.clamp(0, 6))


@pytest.mark.parametrize(
    "mix", [lambda x, y: y + 0.5 * (y - x), lambda x, y: x + 0.5 * (x - y), lambda x, y: y + (x - y) * (x - y)]
)
def test_other_sums_are_not_taken_for_one(mix: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> None:
    result = run_pass(CollapseLinear(), ir(Almost(mix), STORED[:1]))
    assert not [reject for reject in result.rejects if "slope" in reject.reason]


CONFIG = {
    "arch": "k3e3l k3e3 k5e3l",
    "num_classes": 3,
    "hybrid": {"slope": 0.25, "epoch": 30, "linear_at": 120, "epochs": 360},
}


def config(**changes: object) -> dict[str, object]:
    macro = tiny_macro().model_dump(mode="json")
    return CONFIG | {"macro": macro | {"operators": ["k3e3", "k3e3l", "k5e3l"]}} | changes


def test_fusing_in_the_middle_of_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = config()
    module = ARCHITECTURES["searched"](**own)
    save_checkpoint(path := tmp_path / "half.safetensors", "searched", own, module, ["x:1x1x12x12"])
    again, meta = load_checkpoint(path)
    assert [float(part.slope) for part in hybrids(again)] == [0.25] * 4
    assert "after epoch 120 of 360" in notes(meta)[0]
    assert main(["fuse", str(path), "--target", "nano", "-o", str(tmp_path / "half.onnx")]) == 0
    out = capsys.readouterr().out
    assert "slope 0.25" in out and "will be linear after epoch 120 of 360" in out


@pytest.mark.parametrize("hybrid", [{"slope": 2.0}, {"slope": 0.5, "epoch": 1}, {"os.system": 1}])
def test_other_descriptions_of_hybrid_activations_are_refused(hybrid: dict[str, object]) -> None:
    with pytest.raises((SearchError, CorruptFile), match="hybrid activations"):
        ARCHITECTURES["searched"](**config(hybrid=hybrid))
