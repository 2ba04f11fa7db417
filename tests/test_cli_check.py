"""`nascc check` and what `nascc fuse` does about operators that its target lacks."""

import json
from pathlib import Path

import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, helper
from torch import nn

from nascc.tools.app import main


class Determinant(nn.Module):
    """An operator that no TensorRT has and no rule replaces."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.det(x) + 1


def model(kind: str = "Relu") -> ModelProto:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    result = helper.make_empty_tensor_value_info("y")
    graph = helper.make_graph([helper.make_node(kind, ["x"], ["y"], "block.1/act")], "g", [value], [result])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with `good.onnx` and `bad.onnx`, as TensorRT 8.2 sees them."""
    monkeypatch.chdir(tmp_path)
    onnx.save(model(), tmp_path / "good.onnx")
    onnx.save(model("IsInf"), tmp_path / "bad.onnx")
    return tmp_path


def test_a_clean_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "good.onnx", "--target", "nano"]) == 0
    shown = capsys.readouterr()
    assert [text.split()[0] for text in shown.out.splitlines()] == ["checked", "against", "clean"]
    assert "opset 13, IR 7, 1 node\n" in shown.out and "nano (TensorRT 8.2.1): every operator supported" in shown.out
    assert shown.err == ""


def test_a_file_that_the_target_can_not_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "bad.onnx", "--target", "nano"]) == 4
    shown = capsys.readouterr()
    (found,) = [text for text in shown.out.splitlines() if text.startswith("lacks")]
    assert "IsInf 'block.1/act' in 'block.1': TensorRT 8.2.1 does not import this operator" in found
    assert "replaces it by the rule 'is_inf'" in found
    assert shown.err.startswith("error: nano can not run 'bad.onnx': 1 finding, IsInf 'block.1/act'")
    assert main(["check", "bad.onnx", "--target", "orin"]) == 0


def test_the_report(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "bad.onnx", "--target", "xavier", "--power-mode", "15W", "--json", "--report", "r.json"]) == 4
    report = json.loads(capsys.readouterr().out)
    assert json.loads((here / "r.json").read_text()) == report
    assert (report["command"], report["exit_code"]) == ("check", 4)
    assert report["target"]["name"] == "xavier" and report["target"]["power_mode"] == "15w"
    assert report["inputs"][0]["format"] == "onnx"
    (found,) = report["findings"]
    expected = {"severity": "error", "node": "block.1/act", "op": "IsInf", "module": "block.1", "rule": "is_inf"}
    assert expected.items() <= found.items()


def test_bad_input(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "half.onnx").write_bytes((here / "good.onnx").read_bytes()[:-3])
    (here / "text.onnx").write_text("no model")
    (here / "board.toml").write_text('name = "board"\n')
    empty = model()
    del empty.graph.node[:]
    onnx.save(empty, here / "empty.onnx")
    for arguments, code, reason in (
        (["gone.onnx", "--target", "nano"], 2, "'gone.onnx' must be a file"),
        (["good.onnx", "--target", "nanno"], 2, "did you mean 'nano'"),
        (["good.onnx", "--target", "board.toml"], 2, "software: "),
        (["good.onnx", "--target", "cpu", "--power-mode", "5w"], 2, "cpu has no power modes"),
        (["good.onnx"], 2, "--target"),
        (["half.onnx", "--target", "nano"], 3, "truncated"),
        (["text.onnx", "--target", "nano"], 3, "bytes of no known kind"),
        (["empty.onnx", "--target", "nano"], 3, "a graph without nodes"),
    ):
        assert main(["check", *arguments]) == code, arguments
        assert reason in capsys.readouterr().err


@pytest.fixture
def archive(here: Path) -> str:
    torch.export.save(torch.export.export(Determinant().eval(), (torch.randn(2, 3, 4, 4),)), here / "det.pt2")
    return "det.pt2"


def test_fuse_writes_nothing_that_the_target_can_not_run(
    here: Path, archive: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fuse", archive, "-o", "det.onnx", "--target", "nano", "--json"]) == 4
    report = json.loads(capsys.readouterr().out)
    assert [found["op"] for found in report["findings"]] == ["Det"]
    assert "Det 'det'" in report["errors"][0] and "no substitution avoids it" in report["errors"][0]
    assert not (here / "det.onnx").exists()


def test_fuse_writes_it_where_that_is_allowed(here: Path, archive: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fuse", archive, "-o", "det.onnx", "--target", "nano", "--allow-unsupported"]) == 0
    shown = capsys.readouterr().out
    assert "nano (TensorRT 8.2.1): 1 finding (--allow-unsupported)" in shown
    assert "lacks      Det 'det'" in shown
    assert main(["check", "det.onnx", "--target", "nano"]) == 4
    assert main(["check", "det.onnx", "--target", "cpu"]) == 0


def test_fuse_says_that_the_target_runs_everything(
    here: Path, archive: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fuse", archive, "-o", "det.onnx"]) == 0
    assert "opset 20, IR 9; cpu: every operator supported" in capsys.readouterr().out
