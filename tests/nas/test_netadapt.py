"""NetAdaptV2 from nothing to a deployed network: costs, metrics of the user's own, runs that are stopped and killed."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.conformance import MethodConformance
from nas.elastic_kit import Mobile, extremes, space_of
from nascc.nas.elastic import ElasticNet, trainable
from nascc.nas.errors import BadBudget, BudgetInfeasible, SearchError
from nascc.nas.methods import METHODS, SearchMethod, run_method
from nascc.nas.methods.configure import configure, merged
from nascc.nas.netadapt.carry import carried
from nascc.nas.netadapt.config import NetAdaptConfig
from nascc.nas.netadapt.goals import Range, goals_of
from nascc.nas.netadapt.pretrain import Loop
from nascc.nas.netadapt.study import Study, initial_network
from nascc.nas.netadapt.user_metric import open_metric
from nascc.nas.phases.config import RunConfig
from nascc.nas.run import RunDirectory
from nascc.nas.tasks import TaskConfig, open_task
from nascc.passes import graph as g
from nascc.tools.overrides import parse_overrides

SETTINGS = {
    "batch": 64,
    "options.blocks": 1,
    "elastic.levels": 3,
    "dropout.steps": 100,
    "weights.batch_size": 16,
    "descent.samples": 3,
    "descent.layers": 3,
    "descent.step": 0.25,
    "ranking.images": 40,
    "ranking.batches": 1,
    "ranking.batch_size": 16,
    "retrain.epochs": 1,
}
SIZES = {"weights": 100, "alpha": 100, "valid": 50, "test": 50}


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is done in this process: starting others takes longer than all of it."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)


def configured(target: str = "nano", data: str = "cluttered_digits", **asked: Any) -> RunConfig:
    values = merged(parse_overrides(f"{k}={v}" for k, v in SETTINGS.items()), {"baselines": "none"})
    side = 12 if data == "cluttered_digits" else 24
    if data != "cluttered_digits":
        values.pop("options")
    task = TaskConfig(data=data, resolution=(side, side), sizes=SIZES)  # type: ignore[arg-type]
    return configure(METHODS["netadaptv2"], "toy", target, task, merged(values, asked))


def run(path: Path, config: RunConfig) -> RunDirectory:
    with RunDirectory.create(path, config) as directory:
        run_method(METHODS["netadaptv2"], directory)
    return directory


class TestNetAdaptV2(MethodConformance):
    @classmethod
    def method(cls) -> SearchMethod:
        return METHODS["netadaptv2"]

    @classmethod
    def config(cls) -> RunConfig:
        return configured(ratio="0.6")

    def test_limits_hold_on_the_compiled_graph(self, done: Path) -> None:
        with RunDirectory.resume(done, self.config()) as directory:
            found, profile = directory.result("emit")["results"][""], directory.result("profile")
        cost, limit = found["best"]["cost"]["latency"], profile["at_most"][""]
        assert 0.3 * limit < cost <= limit
        assert limit == pytest.approx(0.6 * profile["reachable"]["latency"]["most"])
        assert (done / "deploy" / "model.onnx").exists()

    def test_the_chart_shows_what_is_left(self, done: Path) -> None:
        with RunDirectory.resume(done, self.config()) as directory:
            blocks = directory.result("emit")["results"][""]["best"]["blocks"]
        for block in blocks:
            kind, _, filters = block["operator"].split()
            own, full = map(int, filters.split("/"))
            assert 0 < own <= min(full, block["c_out"])
            assert kind == "conv" or (own <= block["c_in"] == block["c_out"])

    @pytest.mark.slow
    def test_a_run_that_is_killed_ends_as_if_it_was_not(self, done: Path, tmp_path: Path) -> None:
        super().test_a_run_that_is_killed_ends_as_if_it_was_not(done, tmp_path)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_networks_of_the_zoo_know_the_classes_of_the_data(name: str) -> None:
    """Also those that read images of three channels and can not be told how many."""
    config = configured(ratio="0.5")
    changed = {"network": name, "options": {}, "image": (3, 32, 32)}
    network = initial_network(config.model_copy(update=changed), open_task(config.task))  # type: ignore[arg-type]
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def paper(data: str = "cluttered_digits", **asked: Any) -> NetAdaptConfig:
    task = TaskConfig(data=data, sizes=SIZES)  # type: ignore[arg-type]
    config = configure(METHODS["netadaptv2"], "paper", "nano", task, asked)
    assert isinstance(config, NetAdaptConfig)
    return config


def test_the_published_recipe_for_images() -> None:
    config = paper()
    assert (config.weights.ema, config.weights.lr, config.weights.decay, config.weights.decay_epochs) == (
        0.9998, 0.064, 0.963, 3.0,
    )  # fmt: skip
    assert (config.descent.samples, config.descent.layers, config.descent.step) == (200, 10, 0.03)


def test_the_published_recipe_for_macs() -> None:
    config = paper(network="mobilenet_v3_x125", budgets={"macs": "300M"})
    assert (config.descent.samples, config.descent.layers, config.descent.step) == (200, 15, 0.025)
    assert config.elastic.levels == 11
    assert paper(network="mobilenet_v3_x125", elastic={"levels": 9}).elastic.levels == 9


def test_the_published_recipe_for_depths() -> None:
    config = paper("depth_scenes")
    for recipe, rate in ((config.weights, 0.025), (config.retrain, 0.05)):
        assert (recipe.batch_size, recipe.epochs, recipe.lr, recipe.ema) == (16, 50, rate, 0)
        assert (recipe.schedule, recipe.decay, recipe.decay_epochs) == ("exponential", 0.9, 1)
    assert (config.descent.samples, config.descent.step, config.descent.decay) == (150, 0.015, 0.98)
    assert config.dropout.steps == pytest.approx(50 * (47_584 - 2000) / 16, rel=1e-3) and config.ranking.images == 2000
    assert (config.retraining.start, config.retraining.epochs) == ("trajectory", 2)
    assert (config.network, config.elastic.share) == ("fastdepth", 0.25)


def test_the_supernet_is_the_average_that_its_recipe_asks_for(tmp_path: Path) -> None:
    config = configured(ratio="0.6", weights={"ema": 0.5})
    assert isinstance(config, NetAdaptConfig)
    loop, seen = Loop(Study(config, tmp_path)), []
    for step in range(4):
        loop.step(step)
        seen.append(next(loop.net.parameters()).detach().clone())
    expected = seen[0]
    for updates, value in enumerate(seen[1:], 1):
        kept = min(0.5, updates / (updates + 9))
        expected = kept * expected + (1 - kept) * value
    name = next(name for name, _ in loop.net.named_parameters())
    torch.testing.assert_close(loop.weights()[name], expected)
    again = Loop(Study(config, tmp_path))
    again.load(copy.deepcopy(loop.state()))
    torch.testing.assert_close(again.weights()[name], expected)
    assert loop.step(4) == again.step(4)
    assert all(torch.equal(value, again.weights()[name]) for name, value in loop.weights().items())


METRIC = '''
def stairs(module, shape):
    """Jumps at every thousand parameters, as a device's memory may."""
    weights = sum(p.numel() for p in module.parameters())
    assert len(shape) == 4
    return 1.0 + 5 * (weights // 1000)
'''


def test_a_metric_is_found_where_the_run_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "metric_of_mine.py").write_text(METRIC)
    monkeypatch.chdir(tmp_path)
    assert open_metric("metric_of_mine:stairs").__name__ == "stairs"
    config = configured("cpu", metric="metric_of_mine.py:stairs", ratio="0.6")
    monkeypatch.chdir("/")
    assert config.metric == f"{tmp_path}/metric_of_mine.py:stairs"  # type: ignore[attr-defined]
    assert callable(open_metric(config.metric))  # type: ignore[attr-defined]


def test_a_metric_may_jump(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(METRIC)
    config = configured("cpu", metric=f"{tmp_path / 'mine.py'}:stairs", ratio="0.6")
    directory = run(tmp_path / "run", config)
    found, limit = directory.result("emit")["results"][""], directory.result("profile")["at_most"][""]
    assert found["best"]["cost"]["custom"] <= limit
    assert found["best"]["cost"]["custom"] % 5 == 1


@pytest.mark.parametrize(("text", "problem"), [
    ("nothing", "must be 'package.module:function'"),
    ("no.such.module:f", "must be importable"),
    ("gone.py:f", "there is no file"),
    ("math:nothing", "must have a function 'nothing'"),
])  # fmt: skip
def test_metrics_that_are_not_there_are_refused(text: str, problem: str) -> None:
    with pytest.raises(SearchError, match=problem):
        open_metric(text)


def test_several_budgets_come_from_one_descent(tmp_path: Path) -> None:
    config = configured(ratio="0.8,0.5", baselines="random:1,width,depth")
    directory = run(tmp_path / "run", config)
    results = directory.result("emit")["results"]
    costs = [results[name]["best"]["cost"]["latency"] for name in ("0.8", "0.5")]
    limits = [directory.result("profile")["at_most"][name] for name in ("0.8", "0.5")]
    assert all(cost <= limit for cost, limit in zip(costs, limits, strict=True)) and costs[1] < costs[0]
    trajectory = directory.result("search")["trajectory"]
    assert all(list(directory.result("search")["goals"][name]["arch"]) in trajectory for name in ("0.8", "0.5"))
    for name in ("0.8", "0.5"):
        found = results[name]["best"]["cost"]["latency"]
        assert all(rival["cost"]["latency"] <= found for rival in results[name]["baselines"])
        assert (tmp_path / "run" / f"deploy-{name}" / "model.onnx").exists()


def test_macs_are_a_budget_and_networks_may_train_along_the_trajectory(tmp_path: Path) -> None:
    config = configured("cpu", budgets={"macs": "40%"}, retraining={"start": "trajectory", "epochs": 1})
    directory = run(tmp_path / "run", config)
    found = directory.result("emit")["results"][""]
    assert found["best"]["cost"]["macs"] <= directory.result("profile")["at_most"][""]
    states = {path.name for path in (tmp_path / "run" / "retrain").glob("*.state.pt")}
    assert "found-0.state.pt" in states and "found.state.pt" in states


def test_depths_are_learned_too(tmp_path: Path) -> None:
    config = configured(data="depth_scenes", ratio="0.6", dropout={"steps": 4})
    directory = run(tmp_path / "run", config)
    score = directory.result("emit")["results"][""]["best"]["score"]
    assert score["rmse"] > 0 and 0 <= score["delta1"] <= 1
    assert (tmp_path / "run" / "deploy" / "depths.py").exists()
    again = run(tmp_path / "again", config.model_copy(update={"source": str(tmp_path / "run")}))
    assert again.result("search") == directory.result("search")
    assert again.result("emit")["results"][""]["best"]["score"] == score


def test_latency_can_be_measured_here(tmp_path: Path) -> None:
    config = configured("cpu", ratio="0.7", measured=True, baselines="width", descent={"samples": 2})
    directory = run(tmp_path / "run", config)
    profile = directory.result("profile")
    assert profile["measured"] and not profile["reachable"]["latency"]["exact"]
    goals = directory.result("search")["goals"]
    assert goals[""]["cost"]["latency"] <= profile["at_most"][""]
    measured = [network["cost"] for network in directory.result("retrain")["networks"]]
    assert measured == sorted(measured, reverse=True)
    assert [{"latency": cost} for cost in measured[1:]] == [
        rival["cost"] for rival in directory.result("emit")["results"][""]["baselines"]
    ]


def test_small_weights_are_a_part_of_the_large_ones() -> None:
    net = ElasticNet(space_of(Mobile()))
    arch = extremes(net.space, 3)[2]
    large = dict(g.constants(net.current()))
    small = net.extract(arch)
    with torch.no_grad():
        for value in small.state_dict().values():
            if value.is_floating_point():
                value.add_(1.0)
    changed = carried(large, small)
    again = g.copy_graph(net.space.graph)
    for name, value in changed.items():
        g.set_constant(again, name, value)
    twin = trainable(net.space.sliced(arch, again))
    assert all(torch.equal(a, b) for a, b in zip(twin.parameters(), small.parameters(), strict=True))
    assert sum(int((changed[n] != large[n]).sum()) for n in large) == sum(
        v.numel() for n, v in small.state_dict().items() if v.is_floating_point()
    )


def test_goals_are_what_was_asked_for() -> None:
    known = Range(2.0, 10.0)
    assert [goal.at_most for goal in goals_of(configured(ratio="0.5,0.3"), known)] == [5.0, 3.0]  # type: ignore[arg-type]
    assert goals_of(configured(budgets={"latency": "50%"}), known)[0].at_most == 6.0  # type: ignore[arg-type]
    with pytest.raises(BudgetInfeasible, match=r"2 ms to 10 ms of latency \(ratio 0.2 to 1\); ask for at least 2 ms"):
        goals_of(configured(ratio="0.1"), known)  # type: ignore[arg-type]


@pytest.mark.parametrize(("asked", "problem"), [
    ({"ratio": "half"}, "must be a number such as 0.5"),
    ({"ratio": "1.5"}, "at most 1"),
    ({"ratio": "0.5,0.5"}, "must differ"),
    ({"ratio": "0.5", "budgets": {"latency": "5ms"}}, "give one of them"),
    ({"budgets": {"latency": "5ms", "macs": "1M"}}, "one budget must be given"),
    ({"metric": "a:b", "budgets": {}}, "say with --ratio"),
    ({"ratio": "0.5", "baselines": "resolution"}, "'random:COUNT', 'width', 'depth' or 'none'"),
    ({"ratio": "0.5", "measured": True}, "the target must be cpu"),
    ({"ratio": "0.5", "macro": "toy"}, "macro"),
])  # fmt: skip
def test_configurations_that_can_not_be_are_refused(asked: dict[str, Any], problem: str) -> None:
    with pytest.raises((SearchError, BadBudget), match=problem):
        configured(**asked)


@pytest.mark.parametrize(("asked", "problem"), [
    ({"ratio": "0.5", "descent": {"step": 0.009}}, "steps of 0.009 of the initial latency"),
    ({"ratio": "0.5", "network": "nothing"}, "must be one of the zoo"),
    ({"ratio": "0.5", "elastic": {"at": {"99x99": 3}}}, "a resolution of the network"),
    ({"ratio": "0.0001"}, "must be within what this network can be shrunk to"),
])  # fmt: skip
def test_runs_that_can_not_be_end_in_the_profile(asked: dict[str, Any], problem: str, tmp_path: Path) -> None:
    with pytest.raises(SearchError, match=problem):
        run(tmp_path / "run", configured(**asked))
    assert not list((tmp_path / "run").glob("*/result.json"))
