"""The report: its form, what is left out, and the way back from JSON."""

import hashlib
import json
import math
from datetime import datetime, timezone
from pathlib import Path

import pytest
from pydantic import ValidationError

from nascc.compiler.errors import UsageError
from nascc.compiler.provenance import host, input_file, new_report, output_file, sha256
from nascc.compiler.report import (
    SCHEMA,
    Best,
    Block,
    Change,
    DivergenceEntry,
    Latency,
    OutputEntry,
    PassEntry,
    PassError64,
    Rejection,
    Report,
    Search,
    Series,
    SlotEntry,
    TargetEntry,
    VerifyEntry,
)

PARTS = """schema tool command started seconds seed exit_code host target inputs outputs passes verification verify
findings kernels latency device search series warnings errors""".split()


def full_report(tmp_path: Path) -> Report:
    """A report with every part."""
    path = tmp_path / "net.onnx"
    path.write_bytes(b"x")
    report = new_report("fuse", seed=7)
    report.seconds, report.exit_code, report.verification = 1.5, 0, "done"
    report.target = TargetEntry(name="nano", tensorrt="8.2.1", opset=13, ir_version=7, power_mode="10W")
    report.inputs = (input_file(path, "pt2"),)
    report.outputs = (output_file(path, opset=13, ir_version=7, precision="fp32"),)
    report.passes = (
        PassEntry(
            name="FoldBatchNorm",
            rewrites=("a + b",),
            rejects=(Rejection(node="bn", module="stem.bn", reason="padded"),),
            decisions=("stem: kept",),
            nodes=Change(before=9, after=7),
            params=Change(before=10, after=8),
            macs=Change(before=100, after=90),
            error=PassError64(fp64_rel=3e-14),
        ),
    )
    output = OutputEntry(
        name="y", max_abs=1.0, max_rel=0.5, cosine=0.1, snr_db=-math.inf, top1_agreement=0.0, tolerance=1e-5, ok=False
    )
    divergence = DivergenceEntry(node="n", module="m", value="m/Conv", error_before=1e-7, error_after=math.inf)
    report.verify = (VerifyEntry(a="float64", b="onnxruntime", outputs=(output,), first_divergence=divergence),)
    report.findings, report.kernels, report.device = ({"op": "Mod"},), ({"kind": "conv"},), {"clock_mhz": 921.6}
    report.latency = Latency(
        kind="measured", calibration="21 networks", median_ms=14.8, p10_ms=14.0, p90_ms=15.0, p99_ms=16.0, n=100,
        anchor_drift_percent=0.1, before_ms=23.1, ratio=0.64,
    )  # fmt: skip
    block = Block(name="1", operator="k3e6", c_in=8, c_out=12, height=24, width=24, stride=2)
    best = Best(arch=[0, 1], cost={"latency_ms": 3.0}, score={"top1": 0.7}, blocks=(block,))
    report.search = Search(
        method="lightnas", budget={"latency_ms": 4}, reachable={"low": 1}, candidates=({"a": 1},), best=best,
        baseline=({"a": 2},), slots=(SlotEntry(name="1", operators=("k3e6", "skip")),),
    )  # fmt: skip
    report.series = (
        Series(phase="search", name="loss", steps=(0, 5), values=(2.5, 1.5)),
        Series(phase="search", name="probabilities", steps=(0,), values=([[0.5, 0.5]],)),
    )
    report.warnings, report.errors = ("w",), ("e",)
    return report


def test_the_parts_are_those_of_the_design() -> None:
    assert list(Report.model_json_schema()["properties"]) == PARTS
    assert Report.model_json_schema()["additionalProperties"] is False


def test_a_full_report_survives_json(tmp_path: Path) -> None:
    report = full_report(tmp_path)
    text = report.to_json()
    assert list(json.loads(text)) == PARTS
    assert Report.from_json(text) == report and Report.from_json(text).to_json() == text


def test_absent_parts_are_left_out() -> None:
    found = json.loads(new_report("verify").to_json())
    assert list(found) == ["schema", "tool", "command", "started", "host"]
    assert found["schema"] == SCHEMA == "nascc.report/1"


def test_zero_is_not_absent() -> None:
    report = new_report("fuse", seed=0)
    report.exit_code = 0
    found = json.loads(report.to_json())
    assert found["seed"] == 0 and found["exit_code"] == 0


def test_absent_numbers_of_an_output_are_left_out() -> None:
    report = new_report("verify")
    report.verify = (VerifyEntry(a="a", b="b", outputs=(OutputEntry(name="y", tolerance=0.0, ok=False),)),)
    assert json.loads(report.to_json())["verify"][0]["outputs"] == [{"name": "y", "tolerance": 0.0, "ok": False}]


@pytest.mark.parametrize(("number", "text"), [(math.inf, "Infinity"), (-math.inf, "-Infinity"), (math.nan, "NaN")])
def test_numbers_without_json_form_are_strings(number: float, text: str) -> None:
    report = new_report("verify")
    report.verify = (VerifyEntry(a="a", b="b", outputs=(OutputEntry(name="y", snr_db=number, tolerance=1, ok=True),)),)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert json.loads(report.to_json(), parse_constant=refuse)["verify"][0]["outputs"][0]["snr_db"] == text
    back = Report.from_json(report.to_json()).verify[0].outputs[0].snr_db
    assert back == number or (back is not None and math.isnan(back) and math.isnan(number))


def test_numbers_without_json_form_in_free_parts_are_strings() -> None:
    report = new_report("bench")
    report.device = {"drift": math.nan}
    assert json.loads(report.to_json(), parse_constant=lambda c: pytest.fail(c))["device"] == {"drift": "NaN"}


def test_assignment_is_checked() -> None:
    report = new_report("fuse")
    with pytest.raises(ValidationError):
        report.verification = "maybe"  # type: ignore[assignment]
    with pytest.raises(ValidationError):
        report.seconds = "long"  # type: ignore[assignment]


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"schema": "nascc.report/2"}', '{"schema": "nascc.report/1", "x": 1}']
)
def test_other_documents_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"must follow 'nascc\.report/1'"):
        Report.from_json(text)


def test_the_host_is_described() -> None:
    found = host()
    assert {"python", "system", "torch", "onnx", "onnxruntime", "numpy", "cpu", "cpu_count"} <= set(found)
    assert found["cpu"]


def test_the_time_is_aware() -> None:
    started = new_report("fuse").started
    assert started.tzinfo is not None and abs((datetime.now(timezone.utc) - started).total_seconds()) < 60


def test_digests(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * 3_000_000)
    (tmp_path / "b").write_bytes(b"b")
    assert sha256(tmp_path / "b") == hashlib.sha256(b"b").hexdigest()
    assert sha256(tmp_path) == hashlib.sha256(b"a" * 3_000_000 + b"b").hexdigest()
    entry = output_file(tmp_path / "a")
    assert entry.bytes == 3_000_000 and entry.sha256 == sha256(tmp_path / "a")
