"""A compression with --device: blocks, finalists and what is deployed measured there, repaired once, or exit 6.

Profiles are taken over a real sshd on loopback, in the slow suite whole runs too; the others have a stand-in for boards
that makes latencies up.
"""

import itertools
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import sshd
from device_kit import Proxy, options, proxied, stand_in
from nas.hant_kit import quick
from nas.search_kit import MACRO
from nas.test_board_search import StandInFleet, on
from nas.test_cli_compress import words
from nascc.nas.hant import meters
from nascc.nas.hant.measured import SHARES, Piece, measured_student
from nascc.nas.hant.profile import costs_of
from nascc.nas.hant.search import FINALISTS
from nascc.nas.hant.study import Study
from nascc.nas.methods import METHODS, phases_of
from nascc.nas.phases.board import TIMES
from nascc.nas.phases.goals import PROFILE
from nascc.nas.run import RunDirectory, run_phases
from nascc.runtime.errors import DeviceUnreachable
from nascc.runtime.remote.access import Access
from nascc.runtime.remote.fleet import Job, Measured
from nascc.tools.app import main

Capture = pytest.CaptureFixture[str]
STAND_IN = ("--device", "ssh://stand-in")
PROFILED = 1 + len(SHARES)
"""Calls of a fleet in a profile: all blocks at once, then whole students."""
needs_sshd = pytest.mark.skipif(not sshd.AVAILABLE, reason=sshd.REASON)


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is done in this process: starting others takes longer than all of it."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)


class Boards(StandInFleet):
    """A stand-in on which weights are all that takes time."""

    def __init__(self, factors: Callable[[int], float] = lambda call: 1.0) -> None:
        super().__init__(factors, least_ms=0.0)


class Leaving(Boards):
    """A stand-in that goes away after five networks."""

    def measure(self, jobs: Sequence[Job], done: Callable[[Measured], None]) -> None:
        super().measure(jobs[:5], done)
        raise DeviceUnreachable("the stand-in went away")


def compress(folder: Path, *given: str, target: str = "cpu") -> list[str]:
    (macro := folder / "tiny.toml").write_text(MACRO)
    own = ("--set", f"macro={macro}", "--set", "teacher_operator=k3e6", "--resolution", "12")
    return [*words(*own, *given), "--target", target, "-o", str(folder / "run")]


def result_of(run: Path, phase: str) -> Any:
    return json.loads((run / phase / "result.json").read_text())["result"]


def test_cut_off_resumed_repaired_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """All of a run: the link is cut in the profile, the first finalist is slower than told, the next one keeps it."""
    run = tmp_path / "run"
    on(monkeypatch, Leaving())
    assert main(compress(tmp_path, "--ratio", "0.8", *STAND_IN)) == 7
    assert "went away" in capsys.readouterr().err and not (run / PROFILE / "result.json").exists()
    fleet = on(monkeypatch, Boards(lambda call: 1.0 if call < PROFILED else 1.25))
    assert main(["compress", "--resume", str(run)]) == 0
    lines = (run / PROFILE / "measured.jsonl").read_text().splitlines()
    search, profile = result_of(run, "search"), result_of(run, PROFILE)
    limit, tried = profile["limits"][""]["latency"], search["measured"]
    whole = len(SHARES) + len(tried) + 1
    assert fleet.measured == len(lines) - 5 + 3 * whole, "what was measured is not measured again"
    assert limit == pytest.approx(0.8 * profile["tables"]["latency"]["teacher"])
    assert search["repaired"] is True and 2 <= len(tried) <= 1 + FINALISTS
    assert tried[0]["measured_ms"] > limit >= tried[-1]["measured_ms"] == search["cost"]["latency"]
    report = json.loads((run / "report.json").read_text())
    assert report["latency"]["kind"] == "measured" and report["latency"]["calibration"] == "on ssh://stand-in"
    assert report["latency"]["median_ms"] <= limit and report["findings"][0]["search"]["name"] == search["name"]
    assert report["search"]["best"]["cost"]["latency"] <= limit
    calls = fleet.calls
    assert main(["compress", "--resume", str(run)]) == 0 and fleet.calls == calls, "a finished phase is skipped"
    _deployed_must_keep_it(run, tmp_path / "other", monkeypatch, capsys)


def _deployed_must_keep_it(run: Path, other: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """The same run, but that the file is slower at last."""
    shutil.copytree(run, other)
    (other / "measured" / "result.json").unlink()
    on(monkeypatch, Boards(lambda call: 9.0))
    assert main(["compress", "--resume", str(other)]) == 6
    assert "must keep its latency on the board" in capsys.readouterr().err


def test_a_budget_that_is_not_met_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    on(monkeypatch, Boards(lambda call: (1.0, 1.25, 3.0)[min(max(call - PROFILED + 1, 0), 2)]))
    assert main(compress(tmp_path, "--ratio", "0.8", *STAND_IN)) == 6
    assert "on the device" in capsys.readouterr().err and not (tmp_path / "run" / "deploy").exists()


@pytest.mark.parametrize(
    ("given", "reason"),
    [(("--measure", *STAND_IN), "give --measure or --device"), (("--device", "ssh://-x"), "with a plain host name")],
)
def test_what_is_refused(given: tuple[str, ...], reason: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(compress(tmp_path, "--ratio", "0.8", *given)) == 2
    assert reason in capsys.readouterr().err and not (tmp_path / "run").exists()


@needs_sshd
def test_a_profile_over_ssh_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every operator is measured where it stands, the teacher too; nothing is left there."""
    monkeypatch.setattr("nascc.runtime.measure.DRIFT_PERCENT", float("inf"))  # tests run on machines that are busy
    with sshd.running(tmp_path / "sshd") as daemon:
        access = Access(addresses=(daemon.address,), ssh_config=str(daemon.config), python=python_of(daemon))
        config = quick(target="cpu", device=access.model_dump(mode="json"), operators=["cb_res_k1"], ratio="1")
        with RunDirectory.create(tmp_path / "run", config) as run:
            run_phases(phases_of(METHODS["hant"], config), run, until=PROFILE)
            costs, study = costs_of(run.result(PROFILE))["latency"], Study(config, run.path)
            teacher = study.teacher.at_batch(config.batch)
            again = measured_student(study, meters.meter_of(run, study), teacher, costs.teacher)
        daemon.wait_until_clean()
    lines = [json.loads(line) for line in (run.path / PROFILE / "measured.jsonl").read_text().splitlines()]
    assert {line["board"] for line in lines} == {daemon.address}
    last = sorted(line["ratio"] for line in lines[-TIMES:])
    assert costs.teacher == pytest.approx(last[1] * lines[0]["anchor_ms"]) and again > 0
    assert [len(row) for row in costs.table] == list(study.space.choices)


def python_of(daemon: sshd.Sshd) -> str:
    words = options(daemon)
    return words[words.index("--remote-python") + 1]


@pytest.mark.slow
@needs_sshd
def test_over_ssh_for_real(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """The link is cut in the profile, then all of it. On a busy machine the measured budget may be broken."""
    run = tmp_path / "run"
    with sshd.running(tmp_path / "sshd") as daemon, proxied(daemon, tmp_path / "proxy") as (proxy, there):
        _cut_at_the_sixth(proxy, monkeypatch)
        assert main(compress(tmp_path, "--ratio", "0.9", *options(there))) == 7
        daemon.wait_until_clean()
        before = len((run / PROFILE / "measured.jsonl").read_text().splitlines())
        assert before == 5 and not (run / PROFILE / "result.json").exists()
        capsys.readouterr()
        code = main(["compress", "--resume", str(run)])
        daemon.wait_until_clean()
    lines = (run / PROFILE / "measured.jsonl").read_text().splitlines()
    assert len(lines) == len({json.loads(line)["number"] for line in lines}) > before, "nothing is measured twice"
    if code == 6:
        assert " on the " in capsys.readouterr().err  # the device, or the board
        return
    report, limit = json.loads((run / "report.json").read_text()), result_of(run, PROFILE)["limits"][""]["latency"]
    assert code == 0 and report["latency"]["kind"] == "measured" and report["latency"]["median_ms"] <= limit


@pytest.mark.slow
@needs_sshd
def test_through_a_stand_in_for_trtexec(tmp_path: Path) -> None:
    """No TensorRT takes part, and the stand-in tells one time for all: the budget is one of parameters."""
    run = tmp_path / "run"
    with sshd.running(tmp_path / "sshd") as daemon:
        given = options(daemon, stand_in(tmp_path, "8.2.1"))
        assert main(compress(tmp_path, "--params", "80%", *given, target="nano")) == 0
        daemon.wait_until_clean()
    report, said = json.loads((run / "report.json").read_text()), result_of(run, "measured")["goals"][""]
    assert report["latency"]["kind"] == "measured" and said["limit_ms"] is None
    assert said["measured_ms"] == pytest.approx(result_of(run, PROFILE)["tables"]["latency"]["teacher"])


def _cut_at_the_sixth(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The link goes when the sixth network is wanted."""
    emitted, count = meters.Boards._emitted, itertools.count(1)

    def cutting(self: meters.Boards, piece: Piece) -> Callable[[], bytes]:
        def emit() -> bytes:
            if next(count) == 6:
                proxy.cut()
            return emitted(self, piece)()

        return emit

    monkeypatch.setattr(meters.Boards, "_emitted", cutting)
