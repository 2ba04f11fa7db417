"""DW-NAS keeps the contracts of spaces, supernets and methods; its sandwich starves no operator."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from nas import test_supernets
from nas.conformance import MethodConformance, randomise
from nas.search_kit import SETTINGS, tiny_macro
from nas.test_linear_mbconv import SPACE, TOY
from nascc.nas.bilevel.paths import PATHS
from nascc.nas.bilevel.strategy import UndecidedSampler
from nascc.nas.blocks.linear_mbconv import LinearMBConv
from nascc.nas.checkpoint import CheckpointMeta, load_checkpoint, notes
from nascc.nas.core import SuperNet
from nascc.nas.core.randomness import generator
from nascc.nas.errors import RunMismatch, SearchError, Stopped
from nascc.nas.methods import METHODS, SearchMethod, run_method
from nascc.nas.methods.configure import configure, merged
from nascc.nas.methods.dw_nas import DWNASConfig
from nascc.nas.phases.networks import FOUND, Network
from nascc.nas.phases.retrain import train_network
from nascc.nas.run import RunDirectory
from nascc.nas.search import Learner, Settings
from nascc.nas.spaces import MacroSpace
from nascc.nas.supernets import ChoiceSuperNet
from nascc.nas.tasks import TaskConfig
from nascc.runtime.errors import NotCalibrated
from nascc.tools.bench.supernet import saved_bytes
from nascc.tools.overrides import parse_overrides

OPERATORS = ("k7e6", "k3e3l", "k5e3l")


class TestSeparate(test_supernets.TestSeparate):
    def space(self) -> MacroSpace:
        return TOY


class TestSliced(TestSeparate):
    """Linear operators and a skip beside those that they share weights with; the other padding, and an open end."""

    def space(self) -> MacroSpace:
        return MacroSpace(TOY.macro, 10, operators=["k3e3", "skip", "k3e6l", "k5e3l-first", "k3e3l-open"])

    def supernet(self) -> SuperNet:
        return ChoiceSuperNet(self.space(), "sliced")

    def of_operator(self, name: str, slot: int, index: int) -> bool:
        """A skip that projects; the others share everything."""
        return index == 1 and name.startswith(f"parts.{self.space().slots[slot].name}.shared.separate.operators.0.")


def test_linear_operators_share_the_weights_and_not_the_statistics() -> None:
    net = ChoiceSuperNet(TOY, "sliced").train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net(torch.randn(4, *TOY.input_shape), tuple([SPACE.index("k3e6l")] * 6))
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    blocks = {name for name in changed if name.startswith("parts.block")}
    assert blocks and all(".norms." in name and ".shared." not in name for name in blocks)


def learner(top: float, slots: int = 300) -> Learner:
    """Logits that give the first of twelve operators the probability `top`."""
    found = Learner([12] * slots, (), Settings(steps=1))
    rest = torch.full((slots, 12), (1 - top) / 11)
    rest[:, 0] = top
    with torch.no_grad():
        found.alpha.copy_(rest.log())
    return found


def visits(paths: str, steps: int) -> torch.Tensor:
    """How often each of twelve operators was trained, over all slots and steps."""
    decided, counts = learner(0.9), torch.zeros(12)
    for step in range(steps):
        for arch in PATHS[paths](decided, generator(0, step)):
            assert isinstance(arch, tuple)
            counts += torch.bincount(torch.tensor(arch), minlength=12)
    return counts


def test_the_sandwich_is_fair_where_a_single_path_is_not() -> None:
    single, sandwich, every = visits("single", 17), visits("sandwich", 17), visits("every", 1)
    assert float(single.max() / single.min()) > 50
    assert float(sandwich.max() / sandwich.min()) <= 6
    assert float(every.max() / every.min()) == 1


def test_a_sandwich_has_three_operators_in_every_slot() -> None:
    for step in range(50):
        three = PATHS["sandwich"](learner(0.99, slots=20), generator(1, step))
        assert len(three) == 3
        assert all(len(set(row)) == 3 for row in zip(*three, strict=True))  # type: ignore[arg-type]


def test_the_gradient_is_the_sum_of_three_passes() -> None:
    net = ChoiceSuperNet(TOY, "separate").double().train()
    randomise(net)
    archs = PATHS["sandwich"](Learner(TOY.choices, (), Settings(steps=1)), generator(0, "sandwich"))
    x, labels = torch.randn(4, *TOY.input_shape, dtype=torch.float64), torch.arange(4)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    sum(F.cross_entropy(net(x, arch), labels) for arch in archs).backward()  # type: ignore[union-attr]
    together = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    net.load_state_dict(state)
    apart: dict[str, torch.Tensor] = {}
    for arch in archs:
        net.zero_grad()
        F.cross_entropy(net(x, arch), labels).backward()
        for name, p in net.named_parameters():
            if p.grad is not None:
                apart[name] = apart.get(name, torch.zeros_like(p)) + p.grad
    assert together.keys() == apart.keys()
    for name, gradient in together.items():
        torch.testing.assert_close(gradient, apart[name], rtol=1e-9, atol=1e-12)


def test_mixing_needs_the_memory_of_all_operators_and_the_sandwich_that_of_one() -> None:
    net = ChoiceSuperNet(TOY, "separate")
    x, undecided = torch.randn(8, *TOY.input_shape), Learner(TOY.choices, (), Settings(steps=1))
    alone = max(saved_bytes(net.extract(arch), x) for arch in [(SPACE.index("k7e6"),) * 6])
    kept = {name: [saved_bytes(net, x, sel) for sel in PATHS[name](undecided, generator(0))] for name in PATHS}
    assert len(kept["sandwich"]) == 3 and max(kept["sandwich"]) <= 1.3 * alone  # passes follow one another
    assert kept["mixed"][0] > 4 * alone


def test_the_warm_up_of_the_paper_draws_sandwiches() -> None:
    config = TestDWNAS.config(warmup="paths")
    space = MacroSpace(config.macro, 10, config.operators)
    sampler = UndecidedSampler(space, config, PATHS["sandwich"])
    assert sampler.draw(3, 8) == sampler.draw(3, 8) != sampler.draw(4, 8)
    assert len(sampler.draw(0, 8)) == 3


class TestDWNAS(MethodConformance):
    @classmethod
    def method(cls) -> SearchMethod:
        return METHODS["dw-nas"]

    @classmethod
    def config(cls, **asked: Any) -> DWNASConfig:
        values = parse_overrides(f"{key}={value}" for key, value in SETTINGS.items())
        task = TaskConfig(resolution=(12, 12), **values.pop("task"))
        own = {"macro": tiny_macro(), "budgets": {"latency": "50%"}, "baselines": "none", "operators": OPERATORS}
        linear = {"retrain": {"linear": {"epochs": 0.5}}}
        found = configure(cls.method(), "toy", "nano", task, merged(merged(merged(values, own), linear), asked))
        assert isinstance(found, DWNASConfig)
        return found

    def test_the_report_tells_what_became_of_every_block(self, done: Path) -> None:
        with RunDirectory.resume(done, self.config()) as run:
            (told,) = run.result("emit")["results"].values()
        blocks = [block for block in told["best"]["blocks"] if block["searched"]]
        module, _ = load_checkpoint(done / told["checkpoint"])
        linear = {name for name, part in module.named_children() if isinstance(part, LinearMBConv)}
        assert {block["name"] for block in blocks if block["linear"]} == linear
        for block in blocks:
            assert 0 < block["after"] <= block["before"] * (1 + 1e-9) and block["unit"] == "ms"
            assert block["error"] < 5e-6
            assert block["reason"].startswith("one convolution" if block["linear"] else "has activations")


def test_another_end_of_the_activations_is_refused_on_resuming(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "run", TestDWNAS.config()).close()
    other = TestDWNAS.config(retrain={"linear": {"epochs": 0.25}})
    with pytest.raises(RunMismatch, match=r"retrain.linear.epochs: 0.5 in the run, 0.25 asked for"):
        RunDirectory.resume(tmp_path / "run", other)


def test_a_stopped_training_leaves_a_checkpoint_that_can_be_fused(tmp_path: Path) -> None:
    config = TestDWNAS.config(retrain={"linear": {"epochs": 1}})
    macro = config.macro.model_copy(update={"operators": config.operators})
    network = Network("found", "", FOUND, MacroSpace(macro, 10).parse("k3e3l k7e6 k5e3l"), macro, 10)

    def train(stops: bool) -> tuple[dict[str, Any], CheckpointMeta]:
        train_network(config, network, tmp_path, None, lambda name, done, total, shown: stops and done < total)
        module, meta = load_checkpoint(tmp_path / "found.safetensors")
        return module.state_dict(), meta

    with pytest.raises(Stopped):
        train(stops=True)
    module, meta = load_checkpoint(tmp_path / "found.safetensors")
    assert 0 < float(module.get_submodule("block0.inner.0").slope) < 1  # type: ignore[arg-type]
    assert "will be linear after epoch 1 of 1" in notes(meta)[0]
    state, meta = train(stops=False)
    assert not notes(meta) and "block0.inner.0.slope" not in state


def test_options_of_linear_blocks_are_in_their_names() -> None:
    config = TestDWNAS.config(padding="first", last=False)
    assert config.operators == ("k7e6", "k3e3l-first-open", "k5e3l-first-open")
    again = DWNASConfig.model_validate(config.model_dump(mode="json"))
    assert again == config
    assert TestDWNAS.config().operators == OPERATORS


def test_activations_that_never_become_linear_are_refused() -> None:
    with pytest.raises(SearchError, match="linear.epochs must be at most epochs, 1, got 2"):
        TestDWNAS.config(retrain={"linear": {"epochs": 2}})


def test_a_target_without_a_latency_model_is_refused_before_anything_is_compiled(tmp_path: Path) -> None:
    refused = pytest.raises(NotCalibrated, match="'cuda' must have latency coefficients")
    config = TestDWNAS.config().model_copy(update={"target": "cuda"})
    with RunDirectory.create(tmp_path / "run", config) as run, refused:
        run_method(TestDWNAS.method(), run)
    assert not list((tmp_path / "run" / "profile").iterdir())


@pytest.mark.slow
def test_a_target_without_a_latency_model_serves_a_search_by_operations(tmp_path: Path) -> None:
    config = TestDWNAS.config().model_copy(update={"target": "cuda", "budgets": {"macs": "50%"}})
    with RunDirectory.create(tmp_path / "run", config) as run:
        run_method(TestDWNAS.method(), run)
        (told,) = run.result("emit")["results"].values()
    assert {block.get("unit") for block in told["best"]["blocks"] if block["searched"]} == {"MACs"}
