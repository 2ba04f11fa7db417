"""The smallest search there is: three slots, images of 12x12, some ten steps of everything."""

import sys
from dataclasses import dataclass
from pathlib import Path

from nascc.nas.macro import Macro

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MACRO = """
name = "tiny"
source = "tests"
input = [1, 12, 12]
activation = "relu6"
skip = "project"
operators = ["k3e3", "k3e6", "skip"]
divisor = 4
stem = { channels = 4 }
head = { channels = 16 }
stages = [{ channels = 8, blocks = 1, stride = 2 }, { channels = 8, blocks = 2, stride = 1 }]
"""
SETTINGS = {
    "schedule.warmup_steps": 12,
    "schedule.cycles": 20,
    "task.sizes.weights": 200,
    "task.sizes.alpha": 200,
    "task.sizes.valid": 50,
    "task.sizes.test": 100,
    "batch": 4,
    "rerank.candidates": 2,
    "rerank.batches": 1,
    "retrain.epochs": 1,
}


def tiny_macro() -> Macro:
    """The macro itself."""
    return Macro.model_validate(tomllib.loads(MACRO))


def tiny(folder: Path, output: Path, *options: str) -> list[str]:
    """The words of a search that takes seconds: later options win."""
    (macro := folder / "tiny.toml").write_text(MACRO)
    settings = [word for key, value in SETTINGS.items() for word in ("--set", f"{key}={value}")]
    own = [
        "--method",
        "lightnas",
        "--target",
        "nano",
        "--macro",
        str(macro),
        "--resolution",
        "12",
        "--baseline",
        "none",
    ]
    return ["search", *own, *settings, "-o", str(output), *options]


@dataclass(frozen=True)
class Finished:
    """A run, and what was printed."""

    path: Path
    out: str
