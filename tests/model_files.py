"""Files that hold models, made by the tests themselves: whole ones, and ones that would run code when opened."""

import functools
import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

PROGRAM = "models/model.json"
SAMPLES = "data/sample_inputs/model.pt"
WEIGHTS_TABLE = "data/weights/model_weights_config.json"
CONSTANTS_TABLE = "data/constants/model_constants_config.json"


class Small(nn.Module):
    """[N, 3, H, W] -> {"features": [N, 4, H, W], "score": [N, 4]}."""

    def __init__(self, channels: int = 4) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 3, padding=1)
        self.bn = nn.BatchNorm2d(channels)
        self.register_buffer("scale", torch.full((1,), 2.0), persistent=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.bn(self.conv(x)) * self.scale
        return {"features": y, "score": y.mean((2, 3))}


def small(**kwargs: Any) -> nn.Module:
    """A `Small` with seeded weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Small(**kwargs).eval()


@functools.cache
def pt2_members() -> Mapping[str, bytes]:
    """Members of the archive of a `Small` with a dynamic batch, by name."""
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(small(), (torch.ones(2, 3, 8, 8),), dynamic_shapes={"x": {0: batch}})
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    with zipfile.ZipFile(buffer) as file:
        return {name.partition("/")[2]: file.read(name) for name in file.namelist()}


def write_archive(path: Path, members: Mapping[str, bytes], root: str = "model/") -> Path:
    """A zip archive, not compressed, of these members."""
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(root + name, content)
    return path


def write_pt2(path: Path, changed: Mapping[str, bytes] | None = None) -> Path:
    """The archive of a `Small`, with some members changed or added."""
    return write_archive(path, {**pt2_members(), **(changed or {})})


def edited(member: str, edit: Callable[[dict[str, Any]], None]) -> dict[str, bytes]:
    """`member` of the archive of a `Small`, a JSON document, after `edit` has changed it in place."""
    document = json.loads(pt2_members()[member])
    edit(document)
    return {member: json.dumps(document).encode()}


class Toucher:
    """Creates a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.marker),)


def touching(marker: Path) -> str:
    """A Python expression that creates a file when it is evaluated."""
    return f"__import__('pathlib').Path('{marker}').touch()"


def saved(value: Any) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()
