"""`nascc bench`: measured on cpu, estimated elsewhere, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from nascc.runtime.errors import UnstableMachine
from nascc.tools.app import main
from nascc.tools.bench.mbconv import mbconv_network

FAST = ["--rounds", "5"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nascc.runtime.measure.DRIFT_PERCENT", float("inf"))  # whatever else runs here
    onnx.save(mbconv_network(30), "net.onnx")
    return tmp_path


def small(path: str, shape: tuple[int | str, ...] = (1, 4), opset: int = 13, **node: Any) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy")
    made = helper.make_node(node.pop("op", "Relu"), ["x"], ["y"], **node)
    domains = [helper.make_opsetid(d, opset if not d else 1) for d in ("", "my.company")]
    onnx.save(helper.make_model(helper.make_graph([made], "g", [x], [y]), opset_imports=domains, ir_version=7), path)


def report_of(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["bench", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def test_measures_on_cpu(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = report_of(capsys, "net.onnx", "--vs", "net.onnx", *FAST)["latency"]
    assert found["kind"] == "measured" and "calibration" not in found
    assert found["p10_ms"] <= found["median_ms"] <= found["p90_ms"] <= found["p99_ms"]
    assert found["n"] >= 25 and {"anchor_drift_percent", "before_ms", "ratio"} <= set(found)


def test_says_how_it_measured(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "net.onnx", "--vs", "net.onnx", *FAST]) == 0
    out = capsys.readouterr().out
    assert "measured" in out and "estimated" not in out and "1 thread, processor time, anchor drifted" in out
    assert "'net.onnx' takes" in out


def test_estimates_elsewhere_and_says_so(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = report_of(capsys, "net.onnx", "--vs", "net.onnx", "--target", "nano", "--power-mode", "5W")
    assert report["latency"]["kind"] == "estimated" and "17 networks" in report["latency"]["calibration"]
    assert report["latency"]["ratio"] == 1 and report["target"]["power_mode"] == "5w"
    assert main(["bench", "net.onnx", "--target", "tx2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("estimated") and "priors" in out and "measured" not in out


def test_lists_kernels(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = report_of(capsys, "net.onnx", "--kernels", "--target", "nano")
    first = report["kernels"][0]
    assert (first["kind"], first["reduction"], first["channels_in"]) == ("conv", 27, 3)
    assert first["bytes"] == 2 * (first["read"] + first["written"] + first["weights"]) and first["flops"] > 0
    total = sum(kernel["estimated_ms"] for kernel in report["kernels"])
    assert 0 < total <= report["latency"]["median_ms"]
    assert main(["bench", "net.onnx", "--kernels", "--target", "nano"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "estimated ms" in "".join(lines) and len([text for text in lines if "depthwise" in text]) > 3


def test_open_sizes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small("open.onnx", ("N", 4))
    for target in ("cpu", "nano"):
        assert main(["bench", "open.onnx", "--target", target, *FAST]) == 2
        assert "'x' is [N, 4]; give --shapes x:1x4" in capsys.readouterr().err
        assert main(["bench", "open.onnx", "--target", target, "--shapes", "x:2x4", *FAST]) == 0
        assert main(["bench", "open.onnx", "--target", target, "--shapes", "2x4", *FAST]) == 0
        assert main(["bench", "open.onnx", "--target", target, "--shapes", "x:2x5", *FAST]) == 2
        assert "got [2, 5]" in capsys.readouterr().err


def test_local_functions_are_known(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small("own.onnx", op="Twice", domain="my.company")
    model = onnx.load("own.onnx")
    add = helper.make_node("Add", ["a", "a"], ["b"])
    model.functions.append(
        helper.make_function("my.company", "Twice", ["a"], ["b"], [add], [helper.make_opsetid("", 13)])
    )
    model.ir_version = 8
    onnx.save(model, "own.onnx")
    report = report_of(capsys, "own.onnx", "--target", "nano", "--kernels")
    assert [kernel["kind"] for kernel in report["kernels"]] == ["elementwise"]


def broken(kind: str) -> None:
    """`bad.onnx`, wrong in one way."""
    small("bad.onnx", **({"op": "Magic", "domain": "my.company"} if kind == "foreign" else {}))
    model = onnx.load("bad.onnx")
    if kind == "empty":
        del model.graph.node[:]
        onnx.save(model, "bad.onnx")
    if kind == "external":
        onnx.save(mbconv_network(30), "bad.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
        Path("w.bin").unlink()
    if kind == "text":
        Path("bad.onnx").write_text("no model")


@pytest.mark.parametrize("target", ["cpu", "nano"])
@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        ("foreign", 4, "my.company::Magic"),
        ("empty", 3, "graph without nodes"),
        ("external", 2, "w.bin"),
        ("text", 3, "bad.onnx"),
    ],
)
def test_files_that_can_not_be_used(
    here: Path, capsys: pytest.CaptureFixture[str], kind: str, code: int, reason: str, target: str
) -> None:
    broken(kind)
    assert main(["bench", "bad.onnx", "--target", target, *FAST]) == code
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["missing.onnx"], 2, "nothing there"),
        (["net.onnx", "--target", "nanoo"], 2, "did you mean 'nano'"),
        (["net.onnx", "--target", "nano", "--power-mode", "99w"], 2, "power mode must be one of"),
        (["net.onnx", "--power-mode", "5w"], 2, "no power modes"),
        (["net.onnx", "--target", "cuda"], 2, "must have latency coefficients"),
        (["net.onnx", "--vs", "other.onnx"], 2, "same inputs, but 'net.onnx' takes"),
        (["net.onnx", "--vs", "other.onnx", "--target", "nano"], 2, "same inputs, but 'net.onnx' takes"),
        (["net.onnx", "--rounds", "1"], 2, "--rounds"),
        (["net.onnx", "--shapes", "z:1x3"], 2, "'z' is no input"),
    ],
)
def test_refusals(here: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, reason: str) -> None:
    small("other.onnx")
    assert main(["bench", *words]) == code
    assert reason in capsys.readouterr().err


def test_an_unstable_machine_is_7(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unstable(*_: object, **__: object) -> None:
        raise UnstableMachine("the anchor drifted")

    monkeypatch.setattr("nascc.runtime.measure_onnx.measure", unstable)
    assert main(["bench", "net.onnx", "--json"]) == 7
    assert json.loads(capsys.readouterr().out)["exit_code"] == 7
