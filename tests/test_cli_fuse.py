"""`nascc fuse` as a person runs it: what it prints, what it writes, and what it refuses."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from nascc.tools.app import main

SMALL = ("--shapes", "x:1x3x32x32")


class Branches(nn.Module):
    """A convolution whose batch norm folds, and one whose batch norm must stay."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.free = nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, 4, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.free(self.norm(self.stem(x)).relu()).relu())


class DataDependent(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2 if x.sum() > 0 else x


class Spectrum(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigvalsh(x @ x.mT)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def archive(here: Path) -> Path:
    """`branches.pt2` in the current folder."""
    torch.manual_seed(0)
    model = Branches().eval()
    for norm in (model.norm, model.free):
        assert norm.running_mean is not None
        norm.running_mean.normal_()
    torch.export.save(torch.export.export(model, (torch.randn(1, 3, 16, 16),)), here / "branches.pt2")
    return here / "branches.pt2"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_writes_a_file_for_the_target(archive: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuse", "branches.pt2", "-o", "b.onnx", "--target", "nano"]) == 0
    shown = capsys.readouterr()
    labels = [text.split()[0] for text in shown.out.splitlines() if not text.startswith(" ")]
    assert labels[:2] == ["captured", "rewrote"]
    assert [label for label in labels if label in ("verified", "lowered", "wrote")] == ["verified", "lowered", "wrote"]
    assert "free" in next(text for text in shown.out.splitlines() if text.startswith("kept"))
    assert shown.err == ""
    model = onnx.load(here / "b.onnx")
    assert (model.opset_import[0].version, model.ir_version) == (13, 7)
    assert names(here) == {"branches.pt2", "b.onnx"}


def test_report_says_what_was_done(archive: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuse", "branches.pt2", "--json", "--report", "r.json", "--opset", "17"]) == 0
    shown = capsys.readouterr().out
    report = json.loads(shown)
    assert report == json.loads((here / "r.json").read_text())
    assert report["outputs"][0]["path"] == "branches.onnx"
    assert report["outputs"][0]["opset"] == 17
    assert report["inputs"][0]["format"]
    assert report["verification"] == "done"
    assert report["verify"]
    folds = next(entry for entry in report["passes"] if entry["name"] == "FoldBatchNorm")
    assert len(folds["rewrites"]) == 1
    assert "free" in folds["rejects"][0]["module"]


def test_skipped_verification_is_recorded(archive: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuse", "branches.pt2", "--no-verify", "--report", "r.json"]) == 0
    assert json.loads((here / "r.json").read_text())["verification"] == "skipped"
    assert "not verified" in capsys.readouterr().out


def test_writes_a_module_for_pytorch(archive: Path, here: Path) -> None:
    assert main(["fuse", "branches.pt2", "-o", "fused.pt2"]) == 0
    fused = torch.export.load(here / "fused.pt2").module()
    original = torch.export.load(archive).module()
    x = torch.randn(1, 3, 16, 16)
    torch.testing.assert_close(fused(x), original(x), rtol=1e-4, atol=1e-5)
    assert main(["fuse", "fused.pt2", "-o", "again.onnx"]) == 0


def test_passes_are_chosen(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuse", "branches.pt2", "--skip-pass", "FoldBatchNorm", "--json"]) == 0
    assert "FoldBatchNorm" not in {entry["name"] for entry in json.loads(capsys.readouterr().out)["passes"]}
    assert main(["fuse", "branches.pt2", "--passes", "FoldBatchNorm", "--json"]) == 0
    assert "MergeDuplicates" not in {entry["name"] for entry in json.loads(capsys.readouterr().out)["passes"]}


def test_same_input_gives_the_same_bytes(archive: Path, here: Path) -> None:
    for name in ("one.onnx", "two.onnx"):
        assert main(["fuse", "branches.pt2", "-o", name]) == 0
    assert (here / "one.onnx").read_bytes() == (here / "two.onnx").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["no.pt2"], 2, "no.pt2"),
        (["zoo:repvgg_a1"], 2, "repvgg_a0"),
        (["branches.pt2", "--target", "nanno"], 2, "nano"),
        (["branches.pt2", "--opset", "10"], 2, "10"),
        (["branches.pt2", "-o", "no/b.onnx"], 2, "folder that exists"),
        (["branches.pt2", "-o", "b.engine"], 2, ".onnx"),
        (["branches.pt2", "-o", "."], 2, "."),
        (["branches.pt2", "-o", "branches.pt2"], 2, "itself"),
        (["branches.pt2", "--passes", "FoldBatchNrom"], 2, "FoldBatchNorm"),
        (["branches.pt2", "--skip-pass", "Fold"], 2, "FoldBatchNorm"),
        (["branches.pt2", "--shapes", "x:4x3x16x16"], 2, "torch.export.export"),
        (["branches.pt2", "--shapes", "x:4xx3"], 2, "--shapes"),
        (["branches.pt2", "--input-names", "a,b"], 2, "a, b"),
        (["branches.pt2", "--mean", "0.5,half"], 2, "--mean"),
        (["branches.pt2", "--data", "no.npz"], 2, "no.npz"),
        (["empty.pt2"], 3, "empty.pt2"),
        (["text.pt2"], 3, "text.pt2"),
        (["pickle.pt"], 9, "--allow-pickle"),
    ],
)
def test_refuses_with_one_sentence(
    arguments: list[str], code: int, reason: str, archive: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "empty.pt2").touch()
    (here / "text.pt2").write_text("not a model")
    torch.save(Branches(), here / "pickle.pt")
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    assert main(["fuse", *arguments]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert shown.err.count("\n") == 1
    assert reason in shown.err
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_older_output_survives_a_failure(archive: Path, here: Path) -> None:
    (here / "b.onnx").write_text("what was here before")
    assert main(["fuse", "branches.pt2", "-o", "b.onnx", "--data", "no.npz"]) == 2
    assert (here / "b.onnx").read_text() == "what was here before"
    assert main(["fuse", "branches.pt2", "-o", "b.onnx"]) == 0
    onnx.checker.check_model(onnx.load(here / "b.onnx"))


def test_failure_is_a_report_too(archive: Path, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuse", "no.pt2", "--json", "--report", "r.json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert (report["exit_code"], len(report["errors"])) == (2, 1)
    assert "outputs" not in report
    assert report == json.loads((here / "r.json").read_text())


@pytest.mark.parametrize(
    ("model", "code", "reason"), [("DataDependent", 3, "torch.where"), ("Spectrum", 4, "linalg_eigh")]
)
def test_models_that_can_not_be_expressed(
    model: str, code: int, reason: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fuse", "--model", f"{__name__}:{model}", "--shapes", "x:1x3x8x8", "--opset", "13"]) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert reason in shown.err
    assert "Traceback" not in shown.err
    assert not names(here)


def test_wrong_file_is_never_written(
    archive: Path, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compiling = sys.modules["nascc.compiler.stages"]

    def wrong(*arguments: Any, **options: Any) -> Any:
        deployed = deploy(*arguments, **options)
        tensor = max(deployed.model.graph.initializer, key=lambda each: len(each.raw_data))
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name))
        return deployed

    deploy = compiling.deploy
    monkeypatch.setattr(compiling, "deploy", wrong)
    assert main(["fuse", "branches.pt2", "--json"]) == 5
    report = json.loads(capsys.readouterr().out)
    assert report["exit_code"] == 5
    assert "onnxruntime must compute what float64 computes" in report["errors"][0]
    assert not report["verify"][0]["outputs"][0]["ok"]
    assert report["verify"][0]["first_divergence"]["node"]
    assert names(here) == {"branches.pt2"}


INTERRUPTED = """
import sys, time
from nascc.tools import app, source
source.Source.open = lambda self: (print("opening", file=sys.__stderr__, flush=True), time.sleep(60))
sys.exit(app.main(sys.argv[1:]))
"""


def test_interruption_leaves_nothing(here: Path) -> None:
    command = [sys.executable, "-c", INTERRUPTED, "fuse", "zoo:mobilenet_v2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert process.stderr.readline() == "opening\n"
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "error: interrupted; nothing was written\n")
    assert not names(here)


class Collapsible(nn.Module):
    """Two chains: collapsing the first saves work, collapsing the second makes more."""

    def __init__(self) -> None:
        super().__init__()
        self.pays = nn.Sequential(nn.Conv2d(3, 32, 1), nn.Conv2d(32, 8, 1))
        self.grows = nn.Sequential(nn.Conv2d(8, 1, 1), nn.Conv2d(1, 8, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.grows(self.pays(x).relu())


@pytest.mark.parametrize(
    ("options", "convolutions"),
    [
        (["--collapse", "auto", "--collapse-cost", "flops"], 3),
        (["--collapse", "always"], 2),
        (["--collapse", "never"], 4),
        (["--collapse", "always", "--collapse-cost", "measured"], 2),
    ],
)
def test_what_collapses(options: list[str], convolutions: int, here: Path) -> None:
    model = ["--model", f"{__name__}:Collapsible", "--shapes", "x:1x3x4x4"]
    assert main(["fuse", *model, "-o", "c.onnx", *options]) == 0
    kinds = [node.op_type for node in onnx.load(here / "c.onnx").graph.node]
    assert kinds.count("Conv") == convolutions


@pytest.mark.parametrize(
    ("option", "choices"),
    [("--collapse", ("auto", "always", "never")), ("--collapse-cost", ("target", "flops", "measured"))],
)
def test_unknown_choice_names_the_known_ones(
    option: str, choices: tuple[str, ...], here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fuse", "zoo:mobilenet_v2", option, "sometimes"]) == 2
    shown = capsys.readouterr().err
    assert all(repr(choice) in shown for choice in choices)
    assert not names(here)
