"""`nascc verify`: any two of model file and ONNX file, equal and not."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from nascc.tools.app import main


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 1)).eval()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one network as archive and as ONNX file, and both once more with another weight."""
    folder = tmp_path_factory.mktemp("models")
    model = network()
    torch.export.save(torch.export.export(model, (torch.randn(1, 3, 8, 8),)), folder / "m.pt2")
    assert main(["fuse", str(folder / "m.pt2"), "-o", str(folder / "m.onnx")]) == 0
    torch.save(model.state_dict(), folder / "m.pt")
    model[0].weight.data[0] += 0.1
    torch.export.save(torch.export.export(model, (torch.randn(1, 3, 8, 8),)), folder / "other.pt2")
    changed = onnx.load(folder / "m.onnx")
    weight = max(changed.graph.initializer, key=lambda tensor: int(np.prod(tensor.dims)))
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.01), weight.name))
    onnx.save(changed, folder / "other.onnx")
    return folder


@pytest.mark.parametrize(
    ("a", "b"), [("m.pt2", "m.onnx"), ("m.onnx", "m.pt2"), ("m.pt2", "m.pt2"), ("m.onnx", "m.onnx")]
)
def test_equal_models(
    a: str, b: str, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(models)
    assert main(["verify", a, b]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"compared   {b} with {a} on ")
    assert "tolerance" in shown.out
    assert shown.err == ""


@pytest.mark.parametrize(
    ("a", "b"), [("m.pt2", "other.onnx"), ("other.onnx", "m.pt2"), ("m.pt2", "other.pt2"), ("m.onnx", "other.onnx")]
)
def test_different_models(
    a: str, b: str, models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(models)
    assert main(["verify", a, b, "--json"]) == 5
    shown = capsys.readouterr()
    report = json.loads(shown.out)
    assert report["exit_code"] == 5
    assert report["verify"][0]["outputs"][0]["ok"] is False
    assert [entry["path"] for entry in report["inputs"]] == [a, b]
    assert shown.err == f"error: {report['errors'][0]}\n"


def test_weights_take_the_shapes_of_the_onnx_file(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(models)
    assert main(["verify", "m.pt", "m.onnx", "--model", f"{__name__}:network"]) == 0


def test_takes_the_users_data(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(models)
    name = onnx.load("m.onnx").graph.input[0].name
    np.savez(tmp_path / "x.npz", **{name: np.ones((2, 3, 8, 8), np.float32)})
    assert main(["verify", "m.pt2", "m.onnx", "--data", str(tmp_path / "x.npz")]) == 0
    np.savez(tmp_path / "y.npz", y=np.ones((2, 3, 8, 8), np.float32))
    assert main(["verify", "m.pt2", "m.onnx", "--data", str(tmp_path / "y.npz")]) == 2
    assert "'y' is no input" in capsys.readouterr().err


def test_pickled_data_is_refused(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez(tmp_path / "x.npz", x=np.array([Path("x")], dtype=object))
    arguments = ["verify", str(models / "m.pt2"), str(models / "m.onnx"), "--data", str(tmp_path / "x.npz")]
    assert main(arguments) == 9
    assert "plain arrays" in capsys.readouterr().err


def test_missing_side_is_named(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(models / "m.pt2"), str(models / "no.onnx")]) == 2
    assert "no.onnx" in capsys.readouterr().err
