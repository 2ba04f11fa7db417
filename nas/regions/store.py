"""Trained candidates in a folder, each under a name of all that decides its weights."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from nascc.nas.errors import CorruptRun
from nascc.nas.run.files import to_json, write_whole

SCHEMA = "nascc.candidate/1"
KEY = "nascc.candidate"


@dataclass(frozen=True)
class Candidate:
    """What the file of a candidate says: its block and operator, how training went, whether it diverged."""

    region: str
    operator: str
    loss: float | None
    series: tuple[float, ...] = ()
    diverged: bool = False


class CandidateStore:
    """Candidates by key: runs with other targets, ratios and budgets find the same ones.

    `setting` is what all have in common: the teacher, the images, how they are trained, the seed.
    """

    def __init__(self, folder: Path, setting: Mapping[str, Any]) -> None:
        self.folder, self._setting = folder, to_json(setting)

    def path(self, region: str, operator: str, module: nn.Module) -> Path:
        """Where a candidate lies; `module` is one with fresh weights, whose tensors have its names and shapes."""
        tensors = {name: list(tensor.shape) for name, tensor in module.state_dict().items()}
        told = json.dumps([SCHEMA, self._setting, region, operator, str(module), tensors])
        key = hashlib.sha256(told.encode()).hexdigest()[:20]
        readable = re.sub(r"[^\w.+-]", "_", f"{region}-{operator}")
        return self.folder / f"{readable}-{key}.safetensors"

    def has(self, region: str, operator: str, module: nn.Module) -> bool:
        """Was this candidate trained, whether it came out or diverged?"""
        return self.path(region, operator, module).exists()

    def put(self, candidate: Candidate, module: nn.Module) -> None:
        """Keep a trained candidate; of one that diverged only that it did. Raises OSError."""
        tensors = (
            {} if candidate.diverged else {n: t.detach().cpu().contiguous() for n, t in module.state_dict().items()}
        )
        content = save(tensors, metadata={KEY: to_json({"schema": SCHEMA, **vars(candidate)})})
        write_whole(self.path(candidate.region, candidate.operator, module), content)

    def load(self, region: str, operator: str, module: nn.Module) -> Candidate | None:
        """Fill `module` with what is there; None where nothing is. Raises CorruptRun."""
        path = self.path(region, operator, module)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                told = json.loads(file.metadata()[KEY])
                tensors: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            told.pop("schema")
            found = Candidate(**told | {"series": tuple(told["series"])})
            if not found.diverged:
                module.load_state_dict(tensors)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise CorruptRun(
                f"'{path}' must be a candidate that nascc trained, but: {error}; remove it, and it is trained again"
            ) from error
        return found
