"""int8: QDQ after collapse, residual additions kept, what it costs a layer, and how much accuracy may go."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from nascc.compiler import compile
from nascc.compiler.errors import UsageError
from nascc.compiler.quantise import quantise
from nascc.tools.app import main
from nascc.tools.bench.linear_networks import Choice, LinearMBConv
from nascc.tools.bench.networks import randomise_statistics


class Blocks(nn.Module):
    """Two linear MBConv blocks, of which the second has a residual, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.first = LinearMBConv(3, 16, 2, Choice())
        self.second = LinearMBConv(16, 16, 1, Choice())
        self.head = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x)).mean((2, 3)))  # type: ignore[no-any-return]


def network() -> nn.Module:
    torch.manual_seed(0)
    made = Blocks().eval()
    randomise_statistics(made, torch.Generator().manual_seed(0))
    return made


def collapsed(keep_residuals: bool, target: str = "cpu") -> onnx.ModelProto:
    found = compile(
        network(), shapes=["x:1x3x16x16"], input_names=["x"], collapse="always", keep_residuals=keep_residuals,
        target=target, verify=False,
    )  # fmt: skip
    return found.onnx


def samples(count: int = 4) -> list[dict[str, Any]]:
    return [{"x": np.random.default_rng(k).standard_normal((1, 3, 16, 16)).astype(np.float32)} for k in range(count)]


def counts(model: onnx.ModelProto) -> dict[str, int]:
    names = [node.op_type for node in model.graph.node]
    return {name: names.count(name) for name in set(names)}


def test_residuals_are_kept_when_that_is_asked_for() -> None:
    kept, folded = counts(collapsed(True)), counts(collapsed(False))
    assert kept["Conv"] == folded["Conv"] == 2
    assert kept.get("Add", 0) == folded.get("Add", 0) + 1


def test_the_kept_network_is_the_same() -> None:
    found = compile(network(), shapes=["x:1x3x16x16"], collapse="always", keep_residuals=True)
    assert found.verification


@pytest.mark.parametrize("symmetric", [False, True])
def test_convolutions_and_additions_are_quantised(symmetric: bool) -> None:
    source = collapsed(True)
    found = quantise(source, samples(), symmetric=symmetric)
    onnx.checker.check_model(found.model)
    assert found.snr_db > 30 and found.agreement == 1.0
    assert {e.node for e in found.layers} == {n.name for n in source.graph.node}
    assert not any(e.single for e in found.layers if e.operator in ("Conv", "Add"))
    kinds = {t.name: t for t in found.model.graph.initializer}
    points = [kinds[n.input[2]] for n in found.model.graph.node if n.op_type == "QuantizeLinear"]
    values = [onnx.numpy_helper.to_array(p) for p in points]
    assert all(v.dtype == (np.int8 if symmetric else np.uint8) for v in values if v.ndim == 0)
    assert not symmetric or all(not v.any() for v in values)
    biases = [t for t in found.model.graph.initializer if t.data_type == onnx.TensorProto.INT32]
    assert not (symmetric and biases), "TensorRT wants biases in fp32"


def test_needs_samples_and_opset_13() -> None:
    with pytest.raises(UsageError, match="calibrated on samples"):
        quantise(collapsed(True), [])
    old = collapsed(True)
    old.opset_import[0].version = 12
    with pytest.raises(UsageError, match="at least 13"):
        quantise(old, samples())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(collapsed(True), "net.onnx")
    np.savez("x.npz", x=np.concatenate([s["x"] for s in samples(8)]))
    return tmp_path


def test_build_writes_int8_for_onnxruntime(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "net.onnx", "--target", "cpu", "--int8", "--data", "x.npz", "--max-drop", "0", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["outputs"][0]["precision"] == "int8" and report["outputs"][0]["path"] == "net.int8.onnx"
    assert all(f["snr_db"] > 20 for f in report["findings"])
    assert counts(onnx.load("net.int8.onnx"))["QuantizeLinear"] > 4


def test_labels_of_a_folder_judge_accuracy(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(0)
    for k in range(10):
        (here / "images" / f"class{k}").mkdir(parents=True)
        for i in range(2):
            pixels = draw.integers(0, 255, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(here / "images" / f"class{k}" / f"{i}.png")
    words = ["build", "net.onnx", "--target", "cpu", "--int8", "--data", "images", "--max-drop", "0.3"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "in fp32" in out and "20 images" in out and "ImageNet's mean and deviation are taken" in out


def test_too_large_a_drop_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = np.random.default_rng(0)
    noise = {"x": draw.standard_normal((32, 3, 16, 16)).astype(np.float32)}
    noise["x"][0] *= 1e4  # one outlier ruins every scale
    model = onnx.load("net.onnx")
    for tensor in model.graph.initializer:
        if tensor.dims == [10]:  # without its bias the head decides by what comes in
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(10, np.float32), tensor.name))
    onnx.save(model, "net.onnx")
    np.savez("odd.npz", **noise)
    words = ["build", "net.onnx", "--target", "cpu", "--int8", "--data", "odd.npz", "--max-drop", "0.01"]
    assert main(words) == 5
    assert "must lose at most 1.00% of top-1" in capsys.readouterr().err and not Path("net.int8.onnx").exists()


def test_wrong_data_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("other.npz", y=np.zeros(3))
    for words, said in (
        (["--data", "other.npz"], "found none for x"),
        (["--data", str(here)], "must hold one folder of images a class"),
        (["--data", "absent.npz"], "absent.npz"),
        (["--fp16", "--data", "x.npz"], "one precision must be asked for"),
    ):
        assert main(["build", "net.onnx", "--target", "cpu", "--int8", *words]) == 2
        assert said in capsys.readouterr().err
