"""The folder that a search deploys: its script labels images as torch does, its files say the same."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from nas.search_kit import Finished
from nascc.nas.checkpoint import load_checkpoint
from nascc.nas.methods import find_method
from nascc.nas.phases.problem import Problem
from nascc.nas.run.configuration import read_config
from nascc.nas.tasks import Task
from nascc.tools.app import main


@pytest.fixture
def task(tiny_run: Finished) -> Task:
    return Problem(read_config(tiny_run.path, find_method("lightnas").config)).task


def test_the_script_labels_images_as_torch_does(tiny_run: Finished, task: Task, tmp_path: Path) -> None:
    deploy = shutil.copytree(tiny_run.path / "deploy", tmp_path / "elsewhere")
    images, _ = task.split("test").batch(torch.arange(6))
    mean, std = (torch.tensor(v).view(-1, 1, 1) for v in (task.preprocessing.mean, task.preprocessing.std))
    pixels = ((images * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
    files = [tmp_path / f"{number}.png" for number in range(len(pixels))]
    for file, picture in zip(files, pixels, strict=True):
        Image.fromarray(picture[0].numpy()).save(file)
    network, _ = load_checkpoint(tiny_run.path / "retrain" / "found.safetensors")
    with torch.inference_mode():
        chances = network((pixels.float() / 255 - mean) / std).softmax(1)
    ended = subprocess.run([sys.executable, deploy / "classify.py", *files], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    expected = [
        f"{file}: {task.classes[int(row.argmax())]} ({100 * float(row.max()):.1f} %)"
        for file, row in zip(files, chances, strict=True)
    ]
    assert ended.stdout.splitlines() == expected
    usage = subprocess.run([sys.executable, deploy / "classify.py"], capture_output=True, text=True)
    assert usage.returncode == 1 and "usage: python classify.py IMAGE" in usage.stderr


def test_the_model_says_what_its_files_say(tiny_run: Finished, task: Task) -> None:
    deploy = tiny_run.path / "deploy"
    model = onnx.load(deploy / "model.onnx")
    told = {entry.key: entry.value for entry in model.metadata_props}
    document = json.loads((deploy / "preprocess.json").read_text())
    assert json.loads(told["nascc.preprocess"]) | {"labels": told["nascc.labels"].split("\n")} == document
    assert (deploy / "labels.txt").read_text().split() == document["labels"] == list(task.classes)
    (given,), (scores,) = model.graph.input, model.graph.output
    assert (given.name, scores.name) == (document["input"], document["output"])
    assert [size.dim_value for size in given.type.tensor_type.shape.dim] == document["shape"] == [4, 1, 12, 12]
    assert document["preprocessing"]["mean"] == pytest.approx(task.preprocessing.mean)


def test_the_weights_are_fused_like_any_model(tiny_run: Finished, tmp_path: Path) -> None:
    weights, output = tiny_run.path / "retrain" / "found.safetensors", tmp_path / "found.onnx"
    assert main(["fuse", str(weights), "--target", "nano", "-o", str(output)]) == 0
    assert output.exists()
    operators = {node.op_type for node in onnx.load(output).graph.node}
    assert "BatchNormalization" not in operators and "Conv" in operators


def test_the_target_takes_every_operator(tiny_run: Finished, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tiny_run.path / "deploy" / "model.onnx"), "--target", "nano", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["exit_code"] == 0 and not [f for f in report.get("findings", ()) if f.get("severity") == "error"]


def test_numpy_is_enough_to_prepare_an_image(tiny_run: Finished, tmp_path: Path) -> None:
    """The script resizes and crops like the evaluation of the task: a larger picture is scaled down."""
    Image.fromarray(np.full((48, 60), 128, dtype=np.uint8)).save(tmp_path / "large.png")
    command = [sys.executable, tiny_run.path / "deploy" / "classify.py", tmp_path / "large.png"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0 and ended.stdout.startswith(f"{tmp_path / 'large.png'}: ")
