"""The folder of a network for depths: its script writes what torch gives, in millimetres."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nascc.compiler import compile
from nascc.nas.emit import usage_of, write_bundle
from nascc.nas.tasks import Sizes, TaskConfig, open_task
from nascc.nas.zoo import ARCHITECTURES
from nascc.tools.run_words import baseline_words, next_steps


def test_the_script_writes_depths(tmp_path: Path) -> None:
    task = open_task(TaskConfig(data="depth_scenes", sizes=Sizes(weights=10, alpha=10, valid=10, test=10)))
    network = ARCHITECTURES["fastdepth_toy"]()
    with torch.no_grad():
        network.get_submodule("head").bias += 3.0  # type: ignore[operator]
    names = {"input_names": ["images"], "output_names": ["depths"]}
    compiled = compile(network, shapes=["images:2x3x48x48"], target="nano", **names)
    usage = usage_of("images", "depths", (2, 3, 48, 48), task.preprocessing, task.classes)
    files = write_bundle(tmp_path / "run" / "deploy", compiled, usage, "depth")
    assert [file.name for file in files] == ["depths.py", "labels.txt", "model.onnx", "preprocess.json"]
    assert json.loads((files[-1]).read_text())["labels"] == ["depth"]

    images, _ = task.split("test").batch(torch.arange(3))
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (task.preprocessing.mean, task.preprocessing.std))
    pixels = ((images * std + mean) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    pictures = [str(tmp_path / f"{number}.png") for number in range(3)]
    ended = subprocess.run([sys.executable, files[0], *pictures], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count(".depth.png") == 3 and " m, written to " in ended.stdout
    with torch.inference_mode():
        expected = network(images)[:, 0].clamp(min=0).numpy()
    for number, depths in enumerate(expected):
        stored = np.asarray(Image.open(tmp_path / f"{number}.depth.png")) / 1000
        np.testing.assert_allclose(stored, depths, atol=1e-3)
    assert "depths.py IMAGE" in next(next_steps(tmp_path / "run", "nano"))


@pytest.mark.parametrize(
    ("measures", "words"),
    [({"accuracy": 0.84}, "accuracy 84.0 %"), ({"rmse": 0.5123, "delta1": 0.871}, "rmse 0.512 m, delta1 87.1 %")],
)
def test_networks_are_told_by_what_their_task_measures(measures: dict[str, float], words: str) -> None:
    told = baseline_words({"name": "random1", "arch": "a b", "cost": {"latency": 3.0}, **measures})
    assert told.startswith(f"random1: {words}, latency ")
