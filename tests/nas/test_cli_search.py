"""`nascc search` as a person runs it: what it leaves, what it prints, how it is stopped and gone on with."""

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from nas.search_kit import Finished, tiny
from nascc.compiler.report import Report
from nascc.tools.app import main
from nascc.tools.progress_bar import ProgressBar
from run_kit import contents

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks are trained in this process: starting others takes longer than all of it."""
    monkeypatch.setattr("nascc.nas.phases.retrain.os.cpu_count", lambda: 1)


def search_json(capsys: Capture, *words: str) -> dict[str, Any]:
    """The one document that a command prints."""
    main([*words, "--json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_every_line_says_what_it_is(tiny_run: Finished) -> None:
    labels = [line.split(" ")[0] for line in tiny_run.out.splitlines()]
    assert [label for label in labels if label] == [
        *("profile", "pretrain", "search", "retrain", "emit"),
        *("method", "budget", "reachable", "found", "verified", "warning", "wrote", "deploy", "next"),
    ]
    for text in (
        "latency 50%: at most 0.3",
        " ms to ",
        "accuracy ",
        " %, latency 0.3",
        "550 images are few for a search",
    ):
        assert text in tiny_run.out
    assert f"nascc check {tiny_run.path}/deploy/model.onnx --target nano" in tiny_run.out


def test_a_run_holds_all_there_is_to_know(tiny_run: Finished) -> None:
    plots = {path.name for path in (tiny_run.path / "plots").iterdir()}
    kinds = ("search-latency", "search-lambda", "search-loss", "search-probabilities", "pretrain-loss")
    assert {f"{kind}.svg" for kind in (*kinds, "retrain-found-loss", "profile-predictor", "architecture")} <= plots
    report = Report.from_json((tiny_run.path / "report.json").read_bytes())
    assert report.search is not None and report.search.best is not None and report.latency is not None
    assert report.search.budget["latency"]["asked"] == "50%"  # type: ignore[index, call-overload]
    assert report.search.best.cost["latency"] <= report.search.budget["latency"]["at_most"][0]  # type: ignore
    assert report.verification == "done" and report.verify
    assert "few for a search" in report.warnings[0]
    series = {(entry.phase, entry.name) for entry in report.series}
    assert {("search", "latency"), ("search", "latency_limit"), ("search", "probabilities")} <= series


def test_several_budgets_give_several_results(tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    words = ("--latency", "40%,80%", "--macs", "90%", "--se", "last:1", "--set", "schedule.cycles=10")
    report = search_json(capsys, *tiny(tmp_path, run, *words))
    assert report["exit_code"] == 0
    results, limits = report["search"]["results"], report["search"]["budget"]["latency"]["at_most"]
    assert [result["goal"] for result in results] == ["40%", "80%"]
    for result, limit in zip(results, limits, strict=True):
        assert 0 < result["cost"]["latency"] <= limit
        assert result["cost"]["macs"] <= max(report["search"]["budget"]["macs"]["at_most"])
        assert (run / f"deploy-{result['goal']}" / "model.onnx").exists()
        assert (run / "retrain" / f"found-{result['goal']}.safetensors").exists()
    assert results[0]["cost"]["latency"] < results[1]["cost"]["latency"]


def test_ctrl_c_stops_and_resume_goes_on(
    tiny_run: Finished, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pressed: list[int] = []

    def update(self: ProgressBar, phase: str, done: int, total: int, **shown: float | str) -> None:
        if phase == "search" and done == 7 and not pressed:
            pressed.append(done)
            os.kill(os.getpid(), signal.SIGINT)

    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(ProgressBar, "update", update)
        assert main(tiny(tmp_path, run, "--latency", "50%")) == 130
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        "error: interrupted after step 7 of 40 of 'search'; everything is saved, "
        f"go on with nascc search --resume {run}\n"
    )
    assert main(["search", "--resume", str(run), "--target", "nano", "--latency", "50%"]) == 0
    undisturbed = contents(tiny_run.path)
    found = contents(run)
    assert {name for name in undisturbed if found.get(name) != undisturbed[name]} == {"report.json"}
    assert set(found) == set(undisturbed)


def test_the_time_limit_stops(tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    assert main(tiny(tmp_path, run, "--time-limit", "0.001s")) == 130
    assert "the time limit of 0.001 s was reached before 'profile'" in capsys.readouterr().err
    assert main(["search", "--resume", str(run), "--time-limit", "0.001s"]) == 130


@pytest.mark.slow
def test_a_dry_run_leaves_nothing(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(tiny(tmp_path, tmp_path / "run", "--dry-run", "--baseline", "random:1")) == 0
    out = capsys.readouterr().out
    for text in ("reachable  latency of 0.3", "pretrain   about", "search     about", "retrain    about", "hours)"):
        assert text in out
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.toml"]


def pictures(folder: Path, classes: int = 3, each: int = 30) -> Path:
    """A folder of images a class, grey and of 16x16."""
    for kind in range(classes):
        (folder / f"kind{kind}").mkdir(parents=True)
        for number in range(each):
            noise = torch.Generator().manual_seed(100 * kind + number)
            pixels = torch.randint(256, (16, 16), generator=noise, dtype=torch.uint8)
            Image.fromarray(pixels.numpy()).save(folder / f"kind{kind}" / f"{number}.png")
    return folder


@pytest.mark.slow
def test_images_of_ones_own(tmp_path: Path, capsys: Capture) -> None:
    data, run = pictures(tmp_path / "data"), tmp_path / "run"
    own = ("--data", str(data), "--preset", "toy", "--set", "weights.batch_size=8", "--set", "retrain.batch_size=8")
    assert main(tiny(tmp_path, run, *own, "--classes", "kind0,kind2", "--set", "architecture.batch_size=8")) == 0
    out = capsys.readouterr().out
    assert "60 images are few for a search from scratch" in out and "`nascc compress`" in out
    assert (run / "deploy" / "labels.txt").read_text() == "kind0\nkind2\n"
    config = json.loads((run / "config.json").read_text())["config"]
    assert config["task"]["classes"] == ["kind0", "kind2"] and config["image"] == [1, 12, 12]
    shutil.rmtree(data)
    assert main(["search", "--resume", str(run)]) == 2


def corrupt(folder: Path) -> None:
    next((folder / "kind0").iterdir()).write_bytes(b"\x89PNG\r\n\x1a\nno picture")


def one_class(folder: Path) -> None:
    shutil.rmtree(folder / "kind1")


@pytest.mark.parametrize(("spoil", "reason"), [(corrupt, "kind0"), (one_class, "class"), (shutil.rmtree, "data")])
def test_images_that_can_not_be_learned_from(spoil: Any, reason: str, tmp_path: Path, capsys: Capture) -> None:
    spoil(pictures(tmp_path / "data", classes=2))
    assert main(tiny(tmp_path, tmp_path / "run", "--data", str(tmp_path / "data"), "--preset", "toy")) == 2
    shown = capsys.readouterr().err
    assert reason in shown and shown.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (["--latency", "0.01ms"], 6, "must be within what the space can reach, 0.3"),
        (["--macs", "1", "--latency", "60%"], 6, "can reach"),
        (["--set", "batch=1"], 2, "--shapes"),
        (["--method", "lightnass"], 2, "try lightnas"),
        (["--preset", "toyy"], 2, "--preset"),
        (["--target", "nanno"], 2, "did you mean 'nano'"),
        (["--target", "cuda"], 2, "must have latency coefficients"),
        (["--macro", "mobilenetv3"], 2, "mobilenetv2"),
        (["--operators", "k3e3,k33"], 2, "k33"),
        (["--shapes", "3x224x224"], 2, "--shapes must be four sizes like 8x3x224x224"),
        (["--shapes", "0x1x12x12"], 2, "--shapes must be four sizes"),
        (["--time-limit", "soon"], 2, "--time-limit must be like 90s"),
        (["--time-limit", "0s"], 2, "must be above 0"),
        (["--set", "retrain.epochs"], 2, "--set must be KEY=VALUE"),
        (["--set", "retrain.epochs=0"], 2, "retrain.epochs"),
        (["--set", "retrain.epoch=3"], 2, "retrain.epoch: there is no such field; try epochs"),
        (["--set", "task.sizes.test=3"], 2, "task.sizes.test: input should be greater"),
        (
            ["--set", "task.sizes.train=30"],
            2,
            "task.sizes.train: there is no such field; try alpha, test",
        ),
        (["--set", "task=3"], 2, "but: task: a mapping of names to values is needed"),
        (["--latency", "12"], 2, "12ms"),
        (["--latency", "10%,20%", "--macs", "10%,20%"], 2, "one budget may have several values"),
        (["--energy", "50%"], 2, "energy"),
        (["--cost-table", "latency"], 2, "--cost-table must be METRIC=FILE"),
        (["--se", "2"], 2, "--se must be like last:9"),
        (["--se", "last:99"], 2, "3"),
        (["--baseline", "random:0"], 2, "random:COUNT"),
        (["--classes", "ten"], 2, "ten"),
        (["--resume", "nowhere"], 2, "--resume must name the directory of a run"),
        (["--lambda", "0.5"], 2, "--controller fixed"),
        (["--teacher", "nowhere.pt2"], 2, "nowhere.pt2"),
    ],
)
def test_bad_input(options: list[str], code: int, reason: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(tiny(tmp_path, tmp_path / "run", *options)) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ") and shown.err.count("\n") == 1
    assert reason in shown.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", [["--time-limit", "soon"], ["--target", "nowhere"], []])
def test_what_a_folder_held_before_is_never_removed(option: list[str], tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("all of it")
    assert main(tiny(tmp_path, tmp_path / "run", *option)) == 2
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]
    assert capsys.readouterr().err.count("\n") == 1


def test_folders_that_hold_something(tiny_run: Finished, tmp_path: Path, capsys: Capture) -> None:
    assert main(tiny(tmp_path, tiny_run.path)) == 2
    assert "holds a run; go on with it by --resume" in capsys.readouterr().err
    assert main(tiny(tmp_path, tmp_path)) == 2
    assert f"'{tmp_path}' must be empty, found tiny.toml" in capsys.readouterr().err


def test_resuming_takes_the_same_options_only(tiny_run: Finished, capsys: Capture) -> None:
    again = ["search", "--resume", str(tiny_run.path)]
    assert main([*again, "--latency", "60%", "--seed", "1", "--classes", "1,2", "--preset", "paper"]) == 2
    shown = capsys.readouterr().err
    for text in (
        'budgets.latency: "50%" in the run, "60%" asked for',
        "seed: 0 in the run, 1",
        "task.classes",
        "preset",
    ):
        assert text in shown
    assert main([*again, "--macro", "toy", "-o", "elsewhere"]) == 2
    assert "-o must be left out" in capsys.readouterr().err


def test_runs_of_another_version(tiny_run: Finished, tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    run.mkdir()
    document = json.loads((tiny_run.path / "config.json").read_text())
    for change, reason in (({"nascc": "0.0.1"}, "with the nascc that began it, 0.0.1"), ({"schema": "x/2"}, "x/2")):
        (run / "config.json").write_text(json.dumps(document | change))
        assert main(["search", "--resume", str(run)]) == 2
        assert reason in capsys.readouterr().err


def test_a_loss_that_is_no_number_keeps_the_last_good_state(tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    assert main(tiny(tmp_path, run, "--set", "weights.lr=1e30", "--set", "weights.clip=null")) == 1
    shown = capsys.readouterr().err
    assert "must be finite" in shown and "is kept in" in shown and "lower learning rate" in shown
    assert (run / "profile" / "result.json").exists()
    assert not list(run.rglob("pretrain/result.json"))


def test_help_explains_every_option(capsys: Capture) -> None:
    assert main(["search", "--help"]) == 0
    shown = capsys.readouterr().out
    words = ("12ms", "600M", "4M", "500mJ", "40MB", "8x3x224x224", "random:100", "90s", "pixels", "blind in every slot")
    assert not [word for word in words if word not in " ".join(shown.split())]
