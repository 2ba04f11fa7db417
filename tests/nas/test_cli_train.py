"""`nascc train` as a person runs it: what a search found is trained again, and deployed the same way."""

import hashlib
import json
import os
import signal
from pathlib import Path

import pytest
import torch
from torch import nn

from nas.search_kit import Finished
from nascc.compiler.report import Report
from nascc.nas.checkpoint import load_checkpoint
from nascc.tools.app import main
from nascc.tools.progress_bar import ProgressBar
from run_kit import contents

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are trained in this process: starting others takes longer than all of it."""
    monkeypatch.setattr("nascc.nas.phases.retrain.os.cpu_count", lambda: 1)


def digest(folder: Path) -> str:
    return hashlib.sha256(repr(sorted(contents(folder).items())).encode()).hexdigest()


def teacher(folder: Path, classes: int) -> Path:
    """A network of its own that reads the images and knows so many classes."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    net.append(nn.Linear(4, classes))
    batch = torch.export.Dim("N", min=1)
    program = torch.export.export(net.eval(), (torch.zeros(2, 1, 12, 12),), dynamic_shapes=({0: batch},))
    torch.export.save(program, path := folder / "teacher.pt2")
    return path


def test_training_again(tiny_run: Finished, tmp_path: Path, capsys: Capture) -> None:
    before, run = digest(tiny_run.path), tmp_path / "again"
    options = ("--epochs", "2", "--baseline", "random:2,width,resolution", "--teacher", str(teacher(tmp_path, 10)))
    assert main(["train", str(tiny_run.path), "-o", str(run), *options]) == 0
    out = capsys.readouterr().out
    assert digest(tiny_run.path) == before
    found, old = (Report.from_json((path / "report.json").read_bytes()) for path in (run, tiny_run.path))
    assert (found.command, old.command) == ("train", "search")
    assert found.search is not None and found.search.best is not None
    assert old.search is not None and old.search.best is not None
    assert found.search.best.arch == old.search.best.arch and found.search.best.cost == old.search.best.cost
    kinds = [str(baseline["kind"]) for baseline in found.search.baseline]
    assert set(kinds) <= {"random", "width", "resolution"} and kinds
    limit = found.search.best.cost["latency"]
    for baseline in found.search.baseline:
        assert baseline["cost"]["latency"] <= limit * (1 + 1e-9)  # type: ignore[index, call-overload, operator]
        assert f"baseline   {baseline['name']}: accuracy " in out
    kept = {(series.phase, series.name): series for series in old.series if not series.phase.startswith("retrain")}
    now = {(series.phase, series.name): series for series in found.series}
    assert {key: now[key] for key in kept if key[0] != "pretrain"} == {
        k: v for k, v in kept.items() if k[0] != "pretrain"
    }
    assert len(now["retrain/found", "loss"].values) == 2
    assert now["retrain/found", "loss"].values[0] != kept.get(("retrain/found", "loss"))
    assert {path.name for path in (run / "deploy").iterdir()} == {
        path.name for path in (tiny_run.path / "deploy").iterdir()
    }


def test_stopped_training_goes_on(
    tiny_run: Finished, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressed: list[int] = []

    def update(self: ProgressBar, phase: str, done: int, total: int, **shown: float | str) -> None:
        if phase == "retrain" and not pressed:
            pressed.append(done)
            os.kill(os.getpid(), signal.SIGINT)

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    options = (str(tiny_run.path), "--epochs", "2", "--seed", "5")
    assert main(["train", *options, "-o", str(whole)]) == 0
    with monkeypatch.context() as patched:
        patched.setattr(ProgressBar, "update", update)
        assert main(["train", *options, "-o", str(stopped)]) == 130
    assert f"go on with nascc search --resume {stopped}" in capsys.readouterr().err
    assert main(["train", "--resume", str(stopped), "--epochs", "3"]) == 2
    assert "retrain.epochs: 2 in the run, 3 asked for" in capsys.readouterr().err
    assert main(["train", "--resume", str(stopped)]) == 0
    found, undisturbed = contents(stopped), contents(whole)
    assert {name for name in undisturbed if found.get(name) != undisturbed[name]} == {"report.json"}
    weights = [load_checkpoint(run / "retrain" / "found.safetensors")[0] for run in (whole, tiny_run.path)]
    assert not torch.equal(*(next(iter(net.parameters())) for net in weights))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["nowhere"], "RUN must name the directory of a run, found none at 'nowhere'"),
        ([], "a run must be given"),
        (["RUN", "--epochs", "0"], "--epochs"),
        (["RUN", "--set", "weights.lr=1"], "--set must change the training"),
        (["RUN", "--set", "retrain.lr=-1"], "retrain.lr"),
        (["RUN", "--baseline", "depth"], "a baseline must be"),
        (["RUN", "--teacher", "nowhere.pt2"], "found nothing at 'nowhere.pt2'"),
        (["RUN", "-o", "RUN"], "holds a run"),
    ],
)
def test_bad_input(
    options: list[str],
    reason: str,
    tiny_run: Finished,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *[str(tiny_run.path) if word == "RUN" else word for word in options]]) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.count("\n") == 1 and reason in shown.err
    assert not list(tmp_path.iterdir())


def test_a_teacher_of_other_classes(tiny_run: Finished, tmp_path: Path, capsys: Capture) -> None:
    command = ["train", str(tiny_run.path), "-o", str(tmp_path / "run"), "--teacher", str(teacher(tmp_path, 7))]
    assert main(command) == 2
    assert "a logit for each of the 10 classes, but gives [7]" in capsys.readouterr().err


def test_a_search_that_is_not_finished(tiny_run: Finished, tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_bytes((tiny_run.path / "config.json").read_bytes())
    assert main(["train", str(run)]) == 2
    assert "must have finished profile, search before" in capsys.readouterr().err


def test_a_loss_that_is_no_number(tiny_run: Finished, tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    settings = ("--set", "retrain.lr=1e30", "--set", "retrain.clip=null")
    assert main(["train", str(tiny_run.path), "-o", str(run), *settings]) == 1
    assert "finite" in capsys.readouterr().err
    assert not (run / "retrain" / "found.safetensors").exists()


def test_both_are_one_document(tiny_run: Finished, tmp_path: Path, capsys: Capture) -> None:
    assert main(["train", str(tmp_path / "nothing"), "--json"]) == 2
    report = json.loads(capsys.readouterr().out)
    assert (report["command"], report["exit_code"]) == ("train", 2)
