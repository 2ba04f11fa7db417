"""`nascc compress` as a person runs it: from a file or none, a new head, what is refused, and that it can go on."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from nas.hant_kit import OPERATORS, SIZES, network, pool_files
from nas.search_kit import MACRO
from nascc.compiler.report import Report
from nascc.tools.app import main

Capture = pytest.CaptureFixture[str]
QUICK = {
    **{f"task.sizes.{name}": count for name, count in SIZES.items()},
    "teaching.epochs": 1,
    "pretraining.epochs": 1,
    "pretraining.batch_size": 16,
    "scoring.images": 60,
    "scoring.max_drop": 1,
    "solving.images": 60,
    "retrain.epochs": 1,
}


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is done in this process: starting others takes longer than all of it."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained network of ten classes, exported for one image, as people do."""
    path = tmp_path_factory.mktemp("model") / "model.pt2"
    torch.export.save(torch.export.export(network(), (torch.zeros(1, 1, 12, 12),)), path)
    return path


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of a few grey pictures each."""
    folder = tmp_path_factory.mktemp("photographs")
    draw = torch.Generator().manual_seed(0)
    for number, name in enumerate(("cats", "dogs", "owls")):
        (folder / name).mkdir()
        for k in range(40):
            pixels = torch.randint(0, 80, (12, 12), generator=draw) + 60 * number
            Image.fromarray(pixels.to(torch.uint8).numpy()).save(folder / name / f"{k}.png")
    return folder


def words(*given: str, sizes: bool = True) -> list[str]:
    settings = [w for k, v in QUICK.items() if sizes or "sizes" not in k for w in ("--set", f"{k}={v}")]
    own = ["--operators", ",".join(OPERATORS), "--batch", "4", "--candidates", "3", "--target", "nano"]
    return ["compress", *given, *own, *settings, "--preset", "toy"]


def test_an_archive_goes_through_and_the_pool_serves_the_next_run(model: Path, tmp_path: Path, capsys: Capture) -> None:
    run, pool = tmp_path / "run", tmp_path / "pool"
    assert main(words(str(model), "--ratio", "0.8", "--pool", str(pool), "-o", str(run))) == 0
    told = capsys.readouterr().out
    for text in ("ratio 0.8: at most", "teacher_accuracy", "latency_ratio 0.", "verified", "deploy"):
        assert text in told
    report = Report.from_json((run / "report.json").read_bytes())
    assert report.command == "compress" and report.search is not None and report.search.best is not None
    assert report.verification == "done" and (run / "deploy" / "model.onnx").exists()
    plots = {path.name for path in (run / "plots").iterdir()}
    assert {"operations.svg", "architecture.svg", "score-speedups.svg", "search-proxy.svg"} <= plots
    before = pool_files(pool)
    again = words(str(model), "--ratio", "0.9", "--pool", str(pool), "-o", str(tmp_path / "again"))
    assert main([*again, "--json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 0 and pool_files(pool) == before


def test_without_a_network_one_is_trained_first(tmp_path: Path, capsys: Capture) -> None:
    (macro := tmp_path / "tiny.toml").write_text(MACRO)
    own = (
        "--set",
        f"macro={macro}",
        "--set",
        "teacher_operator=k3e6",
        "--resolution",
        "12",
        "-o",
        str(tmp_path / "run"),
    )
    assert main(words("--ratio", "0.85", *own)) == 0
    assert (tmp_path / "run" / "teach" / "teacher.safetensors").exists()
    assert main(["compress", "--resume", str(tmp_path / "run")]) == 0
    assert main(["search", "--method", "hant", "--resume", str(tmp_path / "run"), "--json"]) == 0
    assert main(["train", str(tmp_path / "run")]) == 2
    assert "compresses a network" in capsys.readouterr().err


def test_a_new_head_for_other_classes(model: Path, photographs: Path, tmp_path: Path, capsys: Capture) -> None:
    given = (str(model), "--data", str(photographs), "--ratio", "0.9", "-o", str(tmp_path / "run"))
    assert main(words(*given, sizes=False)) == 2
    assert "tells 10 classes and the data have 3" in (err := capsys.readouterr().err) and "--new-head" in err
    assert not (tmp_path / "run").exists()
    assert main(words(*given, "--new-head", sizes=False)) == 0
    labels = (tmp_path / "run" / "deploy" / "labels.txt").read_text().split()
    assert labels == ["cats", "dogs", "owls"]


@pytest.mark.parametrize(
    ("given", "code", "reason"),
    [
        (("--ratio", "0.1"), 6, "(ratio 0."),
        (("--ratio", "2"), 2, "at most 1"),
        (("--ratio", "0.8", "--blocks", "nothing.*"), 2, "names no module of the network"),
        (("--ratio", "0.8", "--blocks", "block0.residual,stem"), 2, "reads the images themselves"),
        (("--ratio", "0.8", "--operators", "efn_k4"), 2, "must be one of the pool"),
        (("--ratio", "0.8", "--measure"), 2, "must be cpu"),
        (("--ratio", "0.8", "--baseline", "width"), 2, "'random:N'"),
        (("--ratio", "0.8", "--resolution", "20"), 2, "must read images of 1x20x20"),
    ],
)
def test_what_can_not_be_done_is_said_in_time(
    given: tuple[str, ...], code: int, reason: str, model: Path, tmp_path: Path, capsys: Capture
) -> None:
    operators = [] if "--operators" in given else ["--operators", ",".join(OPERATORS)]
    sizes = [w for name, count in SIZES.items() for w in ("--set", f"task.sizes.{name}={count}")]
    target = ["--target", "nano"]
    own = ["compress", str(model), *given, *operators, *sizes, *target, "-o", str(tmp_path / "run")]
    assert main(own) == code
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(144, 10)), "must have a block to replace"),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(2)), "must have a block to replace"),
    ],
)
def test_networks_without_blocks(module: nn.Module, reason: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(module.eval(), (torch.zeros(1, 1, 12, 12),)), path)
    assert main(["compress", str(path), "--ratio", "0.5", "-o", str(tmp_path / "run")]) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


class Pair(nn.Module):
    """Two inputs."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return (a + b).flatten(1)


def test_networks_of_several_inputs(tmp_path: Path, capsys: Capture) -> None:
    path, x = tmp_path / "model.pt2", torch.zeros(1, 1, 12, 12)
    torch.export.save(torch.export.export(Pair(), (x, x)), path)
    given = ("--resolution", "12", "--ratio", "0.5", "-o", str(tmp_path / "run"))
    assert main(["compress", str(path), *given]) == 2
    assert "must take one tensor of images" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_network_that_was_never_trained_is_told_why_nothing_can_be_saved(tmp_path: Path, capsys: Capture) -> None:
    """Residual blocks often begin with a last norm of weight zero: compiled, they are not there."""
    path, module = tmp_path / "model.pt2", network()
    last = {name.split(".")[0]: m for name, m in module.named_modules() if isinstance(m, nn.BatchNorm2d)}
    for name in ("block1", "block2"):
        nn.init.zeros_(last[name].weight)
        nn.init.zeros_(last[name].bias)
    torch.export.save(torch.export.export(module, (torch.zeros(1, 1, 12, 12),)), path)
    assert main(words(str(path), "--ratio", "0.5", "-o", str(tmp_path / "run"))) == 6
    assert "2 blocks multiply what they compute by zero" in capsys.readouterr().err


def test_a_network_needs_the_method_that_compresses(capsys: Capture) -> None:
    assert main(["search", "--model", "zoo:mobilenet_v2"]) == 2
    assert "--method hant" in capsys.readouterr().err
