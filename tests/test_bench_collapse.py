"""The benchmark of merging and collapsing: its networks, its arithmetic, and what it calls reached."""

from dataclasses import replace
from types import ModuleType

import pytest
import torch
from torch import nn

from kit import ir, operators, outputs, relative_error
from nascc.passes import (
    CollapseLinear,
    EliminateIdentities,
    EvaluateConstants,
    FoldBatchNorm,
    MergeBranches,
    run_pipeline,
)
from nascc.tools.bench import collapse
from nascc.tools.bench.collapse_results import Nodes, Setting, Timed, checks
from nascc.tools.bench.linear_networks import (
    BLOCKS,
    BUILDERS,
    Choice,
    DiverseBranches,
    LinearMBConv,
    NonlinearMBConv,
    half_linear,
    load_collapsible,
)
from nascc.tools.bench.networks import randomise_statistics
from nascc.tools.errors import CommandError

NEVER, AUTO = Timed("never", 100, 8.0, 1e-6), Timed("auto", 47, 4.0, 1e-6)
PEER, TIMM = Timed("export+onnxsim", 90, 6.0, 1e-6), Timed("timm+onnxsim", 47, 5.0, 1e-6)
SETTING = Setting("timm:repvgg_a0", 1, 2, 1e-7, (NEVER, AUTO, PEER, TIMM))


def texts(*settings: Setting, nodes: tuple[Nodes, ...] = (), cpu_s: float | None = None) -> dict[str, bool]:
    return {check.text: check.reached for check in checks(settings, nodes, cpu_s)}


def test_speed_is_against_the_same_graph_and_the_best_peer() -> None:
    assert SETTING.speed_up("auto") == 2.0
    assert SETTING.speed_up("always") is None
    assert SETTING.over_best_peer == 1.25
    assert SETTING.speed_up("timm+onnxsim", over="auto") == 0.8


def test_all_floors_are_reached() -> None:
    found = texts(SETTING, nodes=(Nodes("repvgg_a0", 47, 47),), cpu_s=4.0)
    assert len(found) == 6
    assert all(found.values())


@pytest.mark.parametrize(
    ("setting", "missed"),
    [
        (replace(SETTING, files=(replace(NEVER, ms=3.9), AUTO)), "auto is never slower"),
        (replace(SETTING, network="dw:k3e6", files=(replace(NEVER, ms=5.0), AUTO)), "auto on dw:k3e6"),
        (replace(SETTING, files=(NEVER, replace(AUTO, nodes=48))), "nodes of repvgg_a0"),
        (replace(SETTING, files=(NEVER, AUTO, replace(TIMM, ms=3.8))), "repvgg_a0 over timm's"),
        (replace(SETTING, files=(NEVER, replace(AUTO, error=2e-5))), "files farther"),
        (replace(SETTING, files=(NEVER, replace(AUTO, error=float("nan")))), "files farther"),
    ],
)
def test_what_misses_its_floor_is_told(setting: Setting, missed: str) -> None:
    found = [text for text, reached in texts(setting).items() if not reached]
    assert len(found) == 1
    assert found[0].startswith(missed)


def test_what_was_not_measured_is_not_judged() -> None:
    assert list(texts(replace(SETTING, network="other", files=()))) == [
        "files farther from float64 than rounding explains"
    ]


def test_half_of_a_random_network_is_linear() -> None:
    choices = half_linear(3)
    assert sum(choice.linear for choice in choices) == BLOCKS // 2
    assert choices == half_linear(3) != half_linear(4)


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize(("c_out", "stride"), [(4, 1), (6, 2)])
def test_linear_blocks_are_one_convolution(kernel: int, c_out: int, stride: int) -> None:
    assert collapsed(LinearMBConv(4, c_out, stride, Choice(kernel, 3))) == {
        "aten.convolution.default": 1,
        "aten.hardtanh.default": 1,
    }


@pytest.mark.parametrize("stride", [1, 2])
def test_diverse_branches_are_one_convolution(stride: int) -> None:
    assert collapsed(DiverseBranches(4, 6, stride)) == {"aten.convolution.default": 1}


def test_nonlinear_blocks_stay() -> None:
    assert collapsed(NonlinearMBConv(4, 4, 1, Choice(3, 3, False)))["aten.convolution.default"] == 3


def collapsed(module: nn.Module) -> dict[str, int]:
    """What is left of a module of 4 channels when everything legal collapses; it computes the same."""
    torch.manual_seed(0)
    randomise_statistics(module.eval(), torch.Generator().manual_seed(0))
    x = torch.randn(2, 4, 9, 9)
    gm = ir(module, x)
    before = outputs(gm, [x])
    passes = (MergeBranches(mode="always"), CollapseLinear(mode="always"))
    run_pipeline((EvaluateConstants(), EliminateIdentities(), FoldBatchNorm(), *passes), gm)
    assert relative_error(before, outputs(gm, [x])) <= 1e-10
    return dict(operators(gm))


@pytest.mark.parametrize("name", ["dw:k7e9", "resnet18", "timm:no_such_network"])
def test_unknown_network_is_refused(name: str, vision: tuple[ModuleType, ModuleType]) -> None:
    with pytest.raises(CommandError, match="must"):
        load_collapsible(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
def test_networks_run(name: str) -> None:
    network = load_collapsible(name, batch=2, size=64)
    with torch.no_grad():
        found = network.module(*network.inputs)
    assert found.shape == (2, 1000)
    assert found.std() > 0


@pytest.mark.slow
def test_collapse_benchmark_runs(vision: tuple[ModuleType, ModuleType]) -> None:
    assert collapse.main(["--quick", "--networks", "dw:half_0", "--families", "repvgg_a0", "--threads", "1"]) in (0, 1)
