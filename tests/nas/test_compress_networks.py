"""Known networks go through `nascc compress` from end to end, on a small folder of photographs."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nascc.compiler.report import Report
from nascc.tools.app import main

SIDE = 32
QUICK = (
    "teaching.epochs=1",
    "pretraining.epochs=1",
    "pretraining.batch_size=32",
    "scoring.max_drop=1",
    "retrain.epochs=1",
)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four classes of coloured noise."""
    folder, draw = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for number, name in enumerate("abcd"):
        (folder / name).mkdir()
        for k in range(40):
            pixels = draw.integers(0, 120, (SIDE, SIDE, 3)) + 40 * number
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{k}.png")
    return folder


def compressed(model: str, photographs: Path, run: Path, *options: str, ratio: str = "0.85") -> Report:
    settings = [word for text in QUICK for word in ("--set", text)]
    own = ["--data", str(photographs), "--preset", "toy", "--target", "nano", "--batch", "4", "--ratio", ratio]
    operators = ["--operators", "efn_k3_e1_se0,cb_res_k1", "--candidates", "3"]
    assert main(["compress", model, *own, *operators, *settings, "-o", str(run), *options]) == 0
    return Report.from_json((run / "report.json").read_bytes())


def check(report: Report, run: Path) -> None:
    assert report.search is not None and report.search.best is not None
    at_most = report.search.budget["latency"]["at_most"][0]  # type: ignore[index, call-overload]
    assert 0 < report.search.best.cost["latency"] <= 1.05 * at_most  # type: ignore[operator]
    assert report.verification == "done" and all(entry.ok for o in report.verify for entry in o.outputs)
    assert (run / "deploy" / "model.onnx").exists()


def as_trained(module: nn.Module) -> nn.Module:
    """Norms in front of a sum begin at zero, and the compiler leaves out what they multiply; training moves them."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.uniform_(part.weight, 0.5, 1.5)
    return module.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_b0"])
def test_networks_of_the_zoo(name: str, photographs: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    check(compressed(f"zoo:{name}", photographs, run, "--new-head", "--resolution", str(SIDE)), run)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["resnet18", "regnety_002", "mobilenetv3_small_100", "convnext_atto", "ghostnet_100", "edgenext_xx_small"]
)
def test_networks_of_timm(name: str, photographs: Path, tmp_path: Path, vision: tuple[ModuleType, ModuleType]) -> None:
    torch.manual_seed(0)
    module = as_trained(vision[0].create_model(name, num_classes=4))
    path, run = tmp_path / "model.pt2", tmp_path / "run"
    torch.export.save(torch.export.export(module, (torch.zeros(1, 3, SIDE, SIDE),)), path)
    check(compressed(str(path), photographs, run, ratio="0.95"), run)
