"""Single-Path NAS keeps the contracts of a search method, and its decisions follow what costs weigh."""

import random
from pathlib import Path

import pytest
import torch
from torch import nn

from nas.conformance import MethodConformance, SpaceConformance
from nas.search_kit import SETTINGS, tiny_macro
from nascc.nas.core import Limit, Space
from nascc.nas.errors import Diverged, SearchError
from nascc.nas.macro import Macro, load_macro
from nascc.nas.methods import METHODS, SearchMethod
from nascc.nas.methods.configure import configure, merged
from nascc.nas.methods.threshold_learner import ThresholdLearner
from nascc.nas.phases.config import RunConfig
from nascc.nas.search import Damped, Fixed, SyntheticCost
from nascc.nas.spaces import MacroSpace
from nascc.nas.supernets.indicators import Indicators
from nascc.nas.supernets.superkernel_net import SuperkernelNet
from nascc.nas.tasks import TaskConfig
from nascc.tools.app import main
from nascc.tools.overrides import parse_overrides

TOY = MacroSpace(load_macro("singlepath_toy"), classes=10)
OWN = {key: value for key, value in SETTINGS.items() if not key.startswith("schedule")}


def tiny_config(**asked: object) -> RunConfig:
    values = parse_overrides(f"{key}={value}" for key, value in OWN.items())
    task = TaskConfig(resolution=(12, 12), **values.pop("task"))
    own = {
        "macro": tiny_macro(),
        "budgets": {"latency": "50%"},
        "baselines": "none",
        "length": {"total": 40, "free": 12},
    }
    return configure(METHODS["single-path"], "toy", "nano", task, merged(merged(values, own), asked))


class TestSinglePath(MethodConformance):
    @classmethod
    def method(cls) -> SearchMethod:
        return METHODS["single-path"]

    @classmethod
    def config(cls) -> RunConfig:
        return tiny_config()


class TestSpace(SpaceConformance):
    def space(self) -> Space:
        return TOY


class Search:
    """Thresholds that learn from costs and a made-up task alone: seconds of what a run does in minutes."""

    def __init__(self, learner: ThresholdLearner) -> None:
        self.net, self.learner = learner.net, learner
        torch.manual_seed(0)
        self.x, self.labels = torch.randn(8, *TOY.input_shape), torch.randint(10, (8,))
        left = {id(t) for t in self.net.thresholds}
        self.optimiser = torch.optim.SGD([p for p in self.net.parameters() if id(p) not in left], 0.01)

    def run(self, steps: int) -> "Search":
        for _ in range(steps):
            gates = self.net.train().gates()
            loss = nn.functional.cross_entropy(self.net.gated(self.x, gates), self.labels)
            more = self.learner.loss(gates)
            (loss if more is None else loss + more).backward()
            self.optimiser.step()
            self.optimiser.zero_grad()
            self.learner.update(counts=True)
        return self


def cost() -> SyntheticCost:
    draw = random.Random(3)
    rows = [[1 + s % 3, 2 + s % 3, 2, 4 + draw.random(), 0][: len(slot.ops)] for s, slot in enumerate(TOY.slots)]
    return SyntheticCost(rows, constant=2.0)


def learner(controller: Fixed | Damped, limits: tuple[Limit, ...] = (), lr: float = 0.5) -> ThresholdLearner:
    torch.manual_seed(0)
    return ThresholdLearner(SuperkernelNet(TOY, Indicators()), limits, cost(), controller, lr)


def test_lambda_zero_drops_nothing_and_a_large_one_everything_it_can() -> None:
    largest = tuple(slot.names.index("k5e6") for slot in TOY.slots)
    least = tuple(slot.names.index("skip" if "skip" in slot.names else "k3e3") for slot in TOY.slots)
    assert Search(learner(Fixed(0.0))).run(5).net.decide() == largest
    assert Search(learner(Fixed(50.0), lr=1.0)).run(20).net.decide() == least


@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_budget_is_met_without_a_sweep(share: float) -> None:
    least, most = cost().reach
    limit = Limit(cost(), least + share * (most - least))
    search = Search(learner(Damped(kp=1.0, eta=0.01), (limit,))).run(70)
    found = search.learner.candidates(4)
    assert found and all(limit.holds(arch) for arch in found)
    assert limit.used(found[0]) >= 0.97
    assert limit.used(search.net.decide()) == pytest.approx(1.0, abs=0.25)


def test_the_state_goes_on_where_it_was() -> None:
    limit = Limit(cost(), 0.6 * cost().reach[1])
    one = learner(Damped(), (limit,))
    Search(one).run(6)
    two = learner(Damped(), (limit,))
    two.net.load_state_dict(one.net.state_dict())
    two.load_state_dict(one.state_dict())
    assert two.state_dict() == one.state_dict() and two.journal() == one.journal()
    assert two.candidates(5) == one.candidates(5)


def test_a_threshold_that_is_no_number_ends_the_search() -> None:
    search = Search(learner(Fixed(1.0)))
    with torch.no_grad():
        search.net.thresholds[0][0] = float("nan")
    with pytest.raises(Diverged, match="found NaN"):
        search.run(1)


MINE = """
name = "mine"
input = [1, 12, 12]
operators = ["k5e2", "k3e2", "k7e2", "skip", "k3e5", "k5e5", "k7e5"]
divisor = 2
stem = { channels = 6, kernel = 5, stride = 1 }
head = { channels = 10 }
stages = [{ channels = 6, blocks = 2, stride = 2 }, { channels = 10, blocks = 2, stride = 2 }]
"""


def test_kernels_expansions_and_macros_of_ones_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (macro := tmp_path / "mine.toml").write_text(MINE)
    words = ["search", "--method", "single-path", "--macro", str(macro), "--target", "nano", "--macs", "60%"]
    settings = OWN | {"length.total": 30, "length.free": 10}
    words += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    words += ["--resolution", "12", "--baseline", "none", "-o", str(tmp_path / "run")]
    monkeypatch.setattr("nascc.nas.phases.retrain.os.cpu_count", lambda: 1)
    main(words)
    told = capsys.readouterr().out
    assert "method     single-path" in told and "macs 60%" in told
    report = (tmp_path / "run" / "report.json").read_text()
    assert '"deviation"' in report and '"task_loss"' in report and '"runtime_loss"' in report
    drawn = {path.name for path in (tmp_path / "run" / "plots").iterdir()}
    assert {"search-deviation.svg", "search-loss.svg", "architecture.svg"} <= drawn


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"operators": ["k3e3", "k5e6"]}, "k3e6, k5e3 missing"),
        ({"length": {"total": 5, "free": 5}}, "must be fewer than all 5"),
        ({"architecture": {"lambda_": 1.0}}, "--lambda needs --controller fixed"),
        ({"architecture": {"estimator": "st"}}, "architecture.estimator"),
    ],
)
def test_what_can_not_be_searched_is_refused(asked: dict[str, object], told: str) -> None:
    with pytest.raises(SearchError, match=told):
        tiny_config(**asked)


def test_both_presets_are_whole() -> None:
    for name in ("toy", "paper"):
        method = METHODS["single-path"]
        values = method.preset(name)
        assert Macro.model_validate(load_macro(values["macro"]).model_dump())
        config = configure(method, name, "nano", TaskConfig(), {"batch": 1})
        assert config.preset == name
