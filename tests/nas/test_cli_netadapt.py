"""`nascc search --method netadaptv2` as a person runs it: from nothing, from a file, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.elastic_kit import conv
from nas.test_board_search import StandInFleet, on
from nas.test_netadapt import METRIC, SETTINGS, SIZES
from nascc.compiler.errors import CaptureFailed
from nascc.compiler.report import Report
from nascc.runtime.errors import UnsafeFile
from nascc.tools.app import main
from nascc.tools.errors import CommandError
from nascc.tools.refused import leaving_nothing

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is done in this process: starting others takes longer than all of it."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of ten classes for images of 12x12, exported for one image."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        conv(1, 8, 3, 2), conv(8, 16, 3), conv(16, 16, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
        torch.nn.Linear(16, 10),
    )  # fmt: skip
    path = tmp_path_factory.mktemp("model") / "model.pt2"
    torch.export.save(torch.export.export(network.eval(), (torch.zeros(1, 1, 12, 12),)), path)
    return path


def words(*given: str, blocks: bool = True) -> list[str]:
    own = {k: v for k, v in SETTINGS.items() if blocks or k != "options.blocks"}
    own |= {f"task.sizes.{name}": count for name, count in SIZES.items()} | {"dropout.steps": 8}
    settings = [w for k, v in own.items() for w in ("--set", f"{k}={v}")]
    return ["search", "--method", "netadaptv2", "--target", "nano", "--baseline", "none", *settings, *given]


def test_nothing_but_a_target_is_needed(tmp_path: Path, capsys: Capture) -> None:
    run = tmp_path / "run"
    assert main(words("--resolution", "12", "--ratio", "0.7,0.6", "-o", str(run))) == 0
    told = capsys.readouterr().out
    for text in ("netadaptv2", "ratio 0.7,0.6: at most", "reachable", "found", "verified", "deploy"):
        assert text in told
    report = Report.from_json((run / "report.json").read_bytes())
    assert report.search is not None and report.search.best is not None and len(report.search.results) == 2
    assert report.verification == "done" and report.search.slots
    assert {"architecture.svg", "search-latency.svg"} <= {path.name for path in (run / "plots").iterdir()}
    assert main(["search", "--resume", str(run), "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 0


def test_a_file_is_shrunk(model: Path, tmp_path: Path, capsys: Capture) -> None:
    given = words("--model", str(model), "--macs", "60%", "-o", str(tmp_path / "run"), blocks=False)
    assert main(given) == 0
    assert "macs 60%: at most" in capsys.readouterr().out
    assert (tmp_path / "run" / "initial.pt2").exists() and (tmp_path / "run" / "deploy" / "model.onnx").exists()


def test_a_metric_of_ones_own_and_its_failures(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "mine.py"
    file.write_text(METRIC + "def broken(module, shape):\n    return float('nan')\n")
    given = ("--resolution", "12", "--ratio", "0.6", "-o", str(tmp_path / "run"))
    assert main(words("--metric", f"{file}:broken", *given)) == 2
    assert "must give a finite number above 0, got nan" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert main(words("--metric", f"{file}:stairs", *given)) == 0
    assert "custom" in capsys.readouterr().out


@pytest.mark.parametrize(("given", "code", "problem"), [
    (["--ratio", "0.001"], 6, "must be within what this network can be shrunk to"),
    (["--ratio", "0.6", "--set", "descent.step=0.001"], 6, "set descent.step to at least"),
    (["--ratio", "half"], 2, "must be a number such as 0.5"),
    (["--ratio", "0.5", "--latency", "2ms"], 2, "give one of them"),
    (["--ratio", "0.5", "--macro", "toy"], 2, "macro"),
    (["--ratio", "0.5", "--measure"], 2, "the target must be cpu"),
    (["--ratio", "0.5", "--metric", "nowhere:f"], 2, "must be importable"),
    (["--ratio", "0.5", "--set", "elastic.at={\"9x9\": 4}"], 2, "a resolution of the network"),
    (["--ratio", "0.5", "--set", "network=mobilnet_v1"], 2, "try mobilenet_v1"),
    (["--ratio", "0.5", "--set", "network=resnet18", "--set", "options={}"], 2,
     "images must have 3 channels for 'resnet18', these have 1"),
    (["--ratio", "0.5", "--model", "gone.pt2"], 2, "gone.pt2"),
    (["--task", "depth", "--set", "network=netadapt_toy", "--resolution", "24"], 2, "a depth for each pixel"),
    (["--task", "depth", "--resolution", "50", "--ratio", "0.5"], 2, "multiples of 8 for 'fastdepth_toy', got 50x50; "
     "give --resolution 48 or 56"),
])  # fmt: skip
def test_what_can_not_be_is_refused(given: list[str], code: int, problem: str, tmp_path: Path, capsys: Capture) -> None:
    size = [] if "--resolution" in given else ["--resolution", "12"]
    assert main(words(*size, *given, "-o", str(tmp_path / "run"))) == code
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("save", "code", "found"), [
    (lambda net, path: torch.save(net.state_dict(), path), 2, "found weights only"),
    (torch.save, 9, "found a pickle that imports torch.nn."),
    (lambda net, path: torch.jit.script(net).save(path), 3, "found a TorchScript archive"),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_files_that_hold_no_whole_network_are_refused_with_advice(
    save: Callable[[torch.nn.Module, Path], object], code: int, found: str, tmp_path: Path, capsys: Capture
) -> None:
    """Without naming an option that the command does not have."""
    save(torch.nn.Sequential(torch.nn.Linear(4, 2)), tmp_path / "net.pt")
    given = words("--model", str(tmp_path / "net.pt"), "--ratio", "0.6", "-o", str(tmp_path / "r"), blocks=False)
    assert main(given) == code
    told = capsys.readouterr().err
    assert found in told and "torch.export.save(torch.export.export(model" in told
    assert "callable" not in told and "--allow-pickle" not in told and not (tmp_path / "r").exists()


def test_options_are_for_networks_that_are_built(model: Path, tmp_path: Path, capsys: Capture) -> None:
    given = ["--model", str(model), "--ratio", "0.6", "-o", str(tmp_path / "r")]
    for option in ("options.blocks=3", "network=mobilenet_v1"):
        assert main(words(*given, "--set", option, blocks=False)) == 2
        assert f"so '{option.partition('.')[0].partition('=')[0]}', which are for networks" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("error", [CaptureFailed, CommandError, UnsafeFile])
def test_networks_that_can_not_be_captured_or_opened_leave_no_run(error: type[Exception], tmp_path: Path) -> None:
    for name in ("run", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / "config.json").touch()
    for name in ("run", "other"):
        with pytest.raises(error), leaving_nothing(tmp_path / name, new=True):
            raise error("it branches on what it computes")
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_networks_for_other_classes_are_refused(model: Path, tmp_path: Path, capsys: Capture) -> None:
    given = words(
        "--model", str(model), "--classes", "1,2,3", "--ratio", "0.6", "-o", str(tmp_path / "r"), blocks=False
    )
    assert main(given) == 2
    assert "the data have 3 classes" in capsys.readouterr().err


def test_latency_is_that_of_a_board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The board is a stand-in that makes latencies up from the size of a model."""
    fleet, run = on(monkeypatch, StandInFleet(least_ms=0.05)), tmp_path / "run"
    given = ("--device", "ssh://stand-in", "--target", "cpu", "--resolution", "12", "--ratio", "0.7,0.6")
    assert main(words(*given, "--set", "descent.samples=2", "-o", str(run))) == 0
    report = json.loads((run / "report.json").read_text())
    assert report["latency"]["kind"] == "measured" and fleet.measured > 6
    limits = report["search"]["budget"]["latency"]["at_most"]
    assert all(
        best["cost"]["latency"] <= limit for best, limit in zip(report["search"]["results"], limits, strict=True)
    )


def test_a_dry_run_tells_how_long_it_takes(tmp_path: Path, capsys: Capture) -> None:
    assert main(words("--resolution", "12", "--ratio", "0.7", "-o", str(tmp_path / "run"), "--dry-run")) == 0
    told = capsys.readouterr().out
    assert all(text in told for text in ("supernet", "search", "retrain", "in all", "this was a dry run"))
    assert not (tmp_path / "run").exists()


def test_a_model_is_for_methods_that_start_from_one(model: Path, capsys: Capture) -> None:
    assert main(["search", "--method", "lightnas", "--model", str(model)]) == 2
    assert "--model must come with --method hant or netadaptv2" in capsys.readouterr().err
