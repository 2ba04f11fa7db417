"""The benchmark's own arithmetic: ratios, mismatches, floors, and what it reads from a file."""

import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from nascc.tools.bench import fuse
from nascc.tools.bench.latency import relative_error
from nascc.tools.bench.networks import load_network, randomise_statistics
from nascc.tools.bench.results import FileResult, NetworkResult, floors
from nascc.tools.bench.worker import describe
from nascc.tools.errors import CommandError

OWN = FileResult("nascc", 20, 9, 50, 0, 1000, (1.0, 2.0, 3.0), 90.0, 4.0, 1e-6, honest=True)
PEER = replace(OWN, tool="export+onnxsim", nodes=100, cpu_s=(4.0, 4.0, 4.0), peak_mib=100.0, ms=5.0)
BETTER = replace(PEER, tool="export+onnxslim", nodes=80, ms=4.0)
RESULT = NetworkResult("resnet18", 20, 1e-6, (PEER, BETTER, OWN, replace(OWN, opset=13, nodes=75, ms=5.0)))


def test_compares_with_the_best_peer_and_with_the_reference() -> None:
    assert RESULT.ratios == {"nodes": 50 / 80, "latency": 1.0, "cpu": 0.5, "cpu_least": 0.25, "memory": 0.9}


def test_older_opsets_are_compared_with_the_peers_opset() -> None:
    assert RESULT.overhead(13) == (1.5, 1.25)
    assert RESULT.overhead(17) is None


@pytest.mark.parametrize(
    "file",
    [replace(OWN, error=2e-5), replace(OWN, error=math.nan), replace(OWN, error=math.inf), replace(OWN, honest=False)],
)
def test_wrong_file_is_a_mismatch(file: FileResult) -> None:
    assert replace(RESULT, files=(PEER, file)).mismatches == [file]
    assert not RESULT.mismatches


def test_peers_mismatch_is_not_ours() -> None:
    assert not replace(RESULT, files=(replace(PEER, error=1.0), OWN)).mismatches


def test_floors_count_networks() -> None:
    found = {floor.name: floor for floor in floors([RESULT, replace(RESULT, files=(PEER,))])}
    assert str(found["nodes / best peer"]).startswith("nodes / best peer: <= 1.00 on 1 of 1, geometric mean 0.62")


def test_relative_error_needs_equal_shapes() -> None:
    one, two = torch.ones(2, 3).numpy(), torch.ones(3, 2).numpy()
    assert relative_error([one], [two]) == math.inf
    assert relative_error([2 * one], [one]) == 0.5


def test_describes_what_the_file_says(tmp_path: Path) -> None:
    value = helper.make_tensor("v", TensorProto.FLOAT, [1], [2.0])
    nodes = [helper.make_node("Constant", [], ["c"], value=value), helper.make_node("Add", ["x", "c"], ["y"])]
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    model = helper.make_model(helper.make_graph(nodes, "g", info[:1], info[1:]), ir_version=7)
    model.opset_import[0].version = 13
    onnx.save(model, tmp_path / "m.onnx")
    found = describe(tmp_path / "m.onnx")
    assert (found["nodes"], found["opset"], found["ir_version"], found["domains"]) == (1, 13, 7, [""])


def test_statistics_are_seeded_and_positive() -> None:
    norms = [nn.BatchNorm2d(8), nn.BatchNorm2d(8)]
    for norm in norms:
        randomise_statistics(norm, torch.Generator().manual_seed(1))
    assert torch.equal(norms[0].state_dict()["running_var"], norms[1].state_dict()["running_var"])
    assert norms[0].state_dict()["running_var"].min() >= 0.5


@pytest.mark.parametrize("name", ["resnet18", "timm:no_such_network", "torchvision:no_such_network"])
def test_unknown_network_is_refused(name: str, vision: tuple[ModuleType, ModuleType]) -> None:
    with pytest.raises(CommandError, match="must"):
        load_network(name)


def test_worker_failure_carries_its_last_line(tmp_path: Path) -> None:
    request = {"network": "onnx:none", "jobs": [], "folder": str(tmp_path)}
    with pytest.raises(fuse.WorkerFailed, match="a network must be timm:NAME"):
        fuse.ask(fuse.WORKER, request, 60)


@pytest.mark.slow
def test_benchmark_runs(vision: tuple[ModuleType, ModuleType], tmp_path: Path) -> None:
    arguments = ["--networks", "timm:repvgg_a0", "--opsets", "13", "--repeats", "1", "--rounds", "3"]
    assert fuse.main([*arguments, "--json", str(tmp_path / "b.json")]) == 0
    assert (tmp_path / "b.json").is_file()
