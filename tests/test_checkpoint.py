"""nascc checkpoints: what is written is what is read, and what does not fit is refused by name."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from nascc.nas.checkpoint import load_checkpoint, save_checkpoint
from nascc.nas.errors import CorruptCheckpoint, SearchError
from nascc.nas.zoo import ARCHITECTURES
from nascc.runtime.errors import UnreadableFile

CONFIG = {"width": 0.1, "num_classes": 3}
IMAGES = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)


@pytest.fixture
def network() -> nn.Module:
    return ARCHITECTURES["mobilenet_v2"](**CONFIG, seed=7)


@pytest.fixture
def saved(network: nn.Module, tmp_path: Path) -> Path:
    save_checkpoint(path := tmp_path / "net.nascc", "mobilenet_v2", CONFIG, network, ["x:1x3x32x32"])
    return path


def rewritten(path: Path, state: dict[str, torch.Tensor] | None = None, **header: Any) -> Path:
    """The same checkpoint with other tensors, or other fields in its header (None takes a field out)."""
    with safe_open(path, "pt") as file:
        fields = json.loads(file.metadata()["nascc.checkpoint"])
    fields = {name: value for name, value in (fields | header).items() if value is not None}
    save_file(load_file(path) if state is None else state, path, {"nascc.checkpoint": json.dumps(fields)})
    return path


def test_round_trip(saved: Path, network: nn.Module) -> None:
    loaded, meta = load_checkpoint(saved)
    assert torch.equal(loaded(IMAGES), network(IMAGES))
    assert (meta.architecture, meta.config, meta.inputs) == ("mobilenet_v2", CONFIG, ("x:1x3x32x32",))
    assert not loaded.training


def test_the_same_module_gives_the_same_bytes(saved: Path, network: nn.Module, tmp_path: Path) -> None:
    save_checkpoint(again := tmp_path / "again", "mobilenet_v2", CONFIG, network, ["x:1x3x32x32"])
    assert again.read_bytes() == saved.read_bytes()


def test_inputs_default_to_those_of_the_architecture(network: nn.Module, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "net", "mobilenet_v2", CONFIG, network)
    assert load_checkpoint(tmp_path / "net")[1].inputs == ("x:1x3x224x224",)


def test_an_interrupted_write_leaves_what_was_there(
    saved: Path, network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = saved.read_bytes()

    def interrupt(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("nascc.nas.run.files.os.replace", interrupt)
    with pytest.raises(SearchError, match="No space left"):
        save_checkpoint(saved, "mobilenet_v2", CONFIG, network)
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_folder_that_does_not_exist(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(SearchError, match="must be writable") as caught:
        save_checkpoint(tmp_path / "no" / "net", "mobilenet_v2", CONFIG, network)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        ({"architecture": None}, "architecture: Field required"),
        ({"schema_": "nascc.checkpoint/2"}, "schema_"),
        ({"config": {"width": "a"}}, "width: Input should be a valid number"),
        ({"config": {"num_classes": 10**12}}, "num_classes"),
        ({"config": {"depth": 3}}, "depth: Unexpected keyword argument"),
        ({"config": {**CONFIG, "num_classes": 4}}, r"'classifier.1.weight' float32 \[3, 1280\] instead of"),
        ({"extra": 1}, "extra"),
        ({"inputs": 3}, "inputs"),
    ],
)
def test_headers_that_do_not_fit(header: dict[str, Any], sentence: str, saved: Path) -> None:
    with pytest.raises(CorruptCheckpoint, match=sentence) as caught:
        load_checkpoint(rewritten(saved, **header))
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


def test_tensors_that_do_not_fit(saved: Path) -> None:
    state = load_file(saved)
    state["more"] = state.pop("classifier.1.bias")
    state["classifier.1.weight"] = state["classifier.1.weight"].half()
    with pytest.raises(CorruptCheckpoint, match=r"missing 'classifier.1.bias', unexpected 'more', .* float16 \[3"):
        load_checkpoint(rewritten(saved, state))


def test_other_files(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, path := tmp_path / "w.safetensors")
    with pytest.raises(CorruptCheckpoint, match="found safetensors"):
        load_checkpoint(path)
    with pytest.raises(UnreadableFile, match="nothing there"):
        load_checkpoint(tmp_path / "missing")


def test_modules_that_are_not_what_they_claim(tmp_path: Path) -> None:
    with pytest.raises(CorruptCheckpoint, match="missing 'features.0.0.weight'"):
        save_checkpoint(tmp_path / "net", "mobilenet_v2", CONFIG, nn.Conv2d(1, 1, 1))
    with pytest.raises(SearchError, match="did you mean 'mobilenet_v2'"):
        save_checkpoint(tmp_path / "net", "mobilenet_v3", CONFIG, nn.Conv2d(1, 1, 1))
    assert not list(tmp_path.iterdir())
