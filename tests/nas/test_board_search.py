"""A search with --device: networks measured on the board, the found one repaired once, the budget kept or exit 6.

One search runs over a real sshd on loopback; the others have a stand-in for boards that makes latencies up.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest

import sshd
from device_kit import options
from nas.search_kit import tiny
from nascc.runtime.errors import DeviceUnreachable
from nascc.runtime.remote.fleet import Job, Measured
from nascc.tools.app import main

DEVICE = ["--device", "ssh://stand-in", "--target", "cpu", "--set", "device_networks=8", "--latency", "60%"]


class StandInFleet:
    """A stand-in for boards: milliseconds from the size of a model, `least_ms` for nothing, and what a test wants."""

    def __init__(self, factors: Callable[[int], float] = lambda call: 1.0, least_ms: float = 1.0) -> None:
        self.factors, self.least_ms, self.calls, self.measured = factors, least_ms, 0, 0

    def measure(self, jobs: Sequence[Job], done: Callable[[Measured], None]) -> None:
        factor = self.factors(self.calls)
        self.calls += 1
        for job in jobs:
            self.measured += 1
            weights = sum(len(t.raw_data) for t in onnx.load_model_from_string(job.emit()).graph.initializer)
            done(Measured(job.number, (self.least_ms + weights / 2e4) * factor, 1.0, "stand-in"))


def on(monkeypatch: pytest.MonkeyPatch, fleet: Any) -> Any:
    monkeypatch.setattr("nascc.nas.phases.board.fleet_of", lambda problem: fleet)
    return fleet


def board_of(run: Path) -> dict[str, Any]:
    return json.loads((run / "board" / "result.json").read_text())["result"]["goals"][""]  # type: ignore[no-any-return]


@pytest.mark.slow
def test_a_network_that_keeps_its_latency_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, run = on(monkeypatch, StandInFleet()), tmp_path / "run"
    assert main(tiny(tmp_path, run, *DEVICE)) == 0
    found, report = board_of(run), json.loads((run / "report.json").read_text())
    assert found["repaired"] is False and found["measured_ms"] == pytest.approx(found["predicted_ms"], rel=0.1)
    assert report["latency"]["kind"] == "measured" and report["latency"]["calibration"] == "on ssh://stand-in"
    assert report["latency"]["median_ms"] <= report["search"]["budget"]["latency"]["at_most"][0]
    assert fleet.calls == 3 and len((run / "profile" / "measured.jsonl").read_text().splitlines()) == 8
    assert "device" in (run / "config.json").read_text()


def test_a_network_that_breaks_it_is_repaired_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on(monkeypatch, StandInFleet(lambda call: 1.0 if call == 0 else 1.12))
    run = tmp_path / "run"
    assert main(tiny(tmp_path, run, *DEVICE)) == 0
    found = board_of(run)
    limit = json.loads((run / "profile" / "result.json").read_text())["result"]["limits"][""]["latency"]
    assert found["repaired"] is True and found["first"]["measured_ms"] > limit >= found["measured_ms"]
    assert found["factor"] == pytest.approx(1.12, rel=0.1) and found["name"] != found["first"]["name"]
    retrained = json.loads((run / "retrain" / "result.json").read_text())["result"]["networks"][0]
    assert retrained["arch"] == found["name"], "what took its place is what is trained and deployed"


def test_a_budget_that_is_not_met_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on(monkeypatch, StandInFleet(lambda call: 1.0 if call == 0 else 1.12 if call == 1 else 3.0))
    run = tmp_path / "run"
    assert main(tiny(tmp_path, run, *DEVICE)) == 6
    assert "and the repaired one" in capsys.readouterr().err and not (run / "retrain").exists()


@pytest.mark.slow
def test_what_is_deployed_must_keep_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on(monkeypatch, StandInFleet(lambda call: 1.0 if call < 2 else 2.0))
    run = tmp_path / "run"
    assert main(tiny(tmp_path, run, *DEVICE)) == 6
    assert "must keep its latency on the board" in capsys.readouterr().err and (run / "deploy" / "model.onnx").exists()


def test_a_board_that_goes_away_is_told_and_the_run_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Leaving(StandInFleet):
        def measure(self, jobs: Sequence[Job], done: Callable[[Measured], None]) -> None:
            super().measure(jobs[:3], done)
            raise DeviceUnreachable("the stand-in went away")

    on(monkeypatch, Leaving())
    run = tmp_path / "run"
    assert main(tiny(tmp_path, run, *DEVICE)) == 7
    assert "went away" in capsys.readouterr().err
    fleet = on(monkeypatch, StandInFleet())
    assert main(["search", "--resume", str(run)]) == 0
    assert fleet.measured == 5 + 3 + 3, "what was measured is not measured again"
    capsys.readouterr()
    assert main(["train", str(run), "-o", str(tmp_path / "again"), "--set", "retrain.epochs=1"]) == 0
    assert (tmp_path / "again" / "measured" / "result.json").exists()


def test_a_wrong_address_is_told_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(tiny(tmp_path, tmp_path / "run", "--device", "ssh://-x", "--target", "cpu")) == 2
    assert "with a plain host name" in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.skipif(not sshd.AVAILABLE, reason=sshd.REASON)
def test_over_ssh_for_real(tmp_path: Path) -> None:
    """On a busy machine the measured budget may be broken; everything up to there must work."""
    with sshd.running(tmp_path / "sshd") as daemon:
        words = [*options(daemon), "--target", "cpu", "--set", "device_networks=8", "--latency", "60%"]
        assert main(tiny(tmp_path, run := tmp_path / "run", *words)) in (0, 6)
        assert len((run / "profile" / "measured.jsonl").read_text().splitlines()) == 8
        daemon.wait_until_clean()
