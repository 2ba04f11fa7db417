"""`nascc profile`: refit a target to a table of measurements."""

import json
from pathlib import Path

import pytest

from nascc.runtime.profile import load_target
from nascc.tools.app import main

ROWS = "model,latency_ms\nresnet50,31\ntorchvision:mobilenet_v2,9.1\nvgg16,90\n"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "mine.csv"
    path.write_text(ROWS)
    return path


def test_writes_a_profile(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "--target", "nano", "--measurements", str(table)]) == 0
    target = load_target(table.parent / "nano-measured.toml")
    assert target.latency is not None and target.latency.networks == 3
    out = capsys.readouterr().out
    assert "estimated" in out and "3 networks of mine.csv" in out and "nano-measured.toml" in out


def test_a_refit_profile_can_be_refitted(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["profile", "--measurements", str(table), "-o", "a.toml", "--json"]
    assert main([*words, "--target", "xavier", "--power-mode", "15W"]) == 0
    assert json.loads(capsys.readouterr().out)["target"]["power_mode"] == "15w"
    assert main([*words, "--target", "a.toml"]) == 0


@pytest.mark.parametrize(
    ("rows", "options", "reason"),
    [
        ("model,latency_ms\nnowhere.onnx,3\n", [], "found none for nowhere.onnx"),
        ("model,latency_us\nresnet50,3\n", [], "milliseconds"),
        (ROWS, ["--power-mode", "99w"], "power mode must be one of"),
        (ROWS, ["-o", "a.txt"], "must be a .toml file"),
        (ROWS, ["--target", "nanoo"], "did you mean 'nano'"),
    ],
)
def test_refusals(table: Path, capsys: pytest.CaptureFixture[str], rows: str, options: list[str], reason: str) -> None:
    table.write_text(rows)
    assert main(["profile", "--target", "nano", "--measurements", str(table), *options]) == 2
    assert reason in capsys.readouterr().err
    assert not list(table.parent.glob("*.toml"))
