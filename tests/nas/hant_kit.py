"""The smallest run of compression there is: a teacher of three blocks on images of 12x12, a handful of steps."""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nas.search_kit import tiny_macro
from nascc.nas.hant.config import HantConfig
from nascc.nas.methods import METHODS
from nascc.nas.methods.configure import configure, merged
from nascc.nas.pool import choose
from nascc.nas.regions import RegionSpace, Teacher
from nascc.nas.spaces import MacroSpace
from nascc.nas.tasks import TaskConfig

IMAGE = (1, 12, 12)
OPERATORS = ("efn_k3_e1_se0", "cb_stack_k3_w0.25", "cb_res_k1")
SIZES = {"weights": 200, "alpha": 120, "valid": 50, "test": 100}
QUICK: dict[str, Any] = {
    "operators": list(OPERATORS),
    "batch": 4,
    "teaching": {"epochs": 2},
    "pretraining": {"epochs": 1, "batch_size": 32},
    "scoring": {"images": 60, "batch_size": 60, "max_drop": 1.0},
    "solving": {"candidates": 3, "images": 60},
    "retrain": {"epochs": 1},
}


def quick(**asked: Any) -> HantConfig:
    """A run of seconds."""
    task = TaskConfig(resolution=(12, 12), sizes=SIZES, **asked.pop("task", {}))
    target = asked.pop("target", "nano")
    values = merged(QUICK | {"macro": tiny_macro(), "ratio": "0.8", "seed": 0}, asked)
    config = configure(METHODS["hant"], "toy", target, task, values)
    assert isinstance(config, HantConfig)
    return config


def network(seed: int = 0, operator: str = "k3e6") -> nn.Module:
    """A teacher with random weights."""
    torch.manual_seed(seed)
    macro = tiny_macro()
    space = MacroSpace(macro, 10, input_shape=IMAGE)
    module = space.build((macro.operators.index(operator),) * 3)
    for _ in range(20):  # statistics that fit
        module(torch.randn(32, *IMAGE))
    return module.eval()


@cache
def teacher() -> Teacher:
    """Its blocks."""
    return Teacher.of(network(), IMAGE)


def space(operators: tuple[str, ...] = OPERATORS) -> RegionSpace:
    """What may replace them."""
    return RegionSpace(teacher(), IMAGE, choose(operators), 0)


def pool_files(folder: Path) -> dict[str, int]:
    """Candidates by file, with when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in sorted(folder.glob("*.safetensors"))}
