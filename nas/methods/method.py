"""What a search method is: a configuration, presets, and phases."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any

from nascc.nas.core import Method, Phase
from nascc.nas.errors import SearchError
from nascc.nas.phases.board import MeasureDeployed, OnBoard
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.emit import Emit
from nascc.nas.phases.profile import Profile
from nascc.nas.phases.retrain import Retrain
from nascc.nas.tasks import Kind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = "nascc.nas.methods.presets"
PRESETS = ("toy", "paper")


@dataclass(frozen=True)
class SearchMethod:
    """A method of the field: `name` as on the command line, `title` with its source, and how it is configured and run.

    Its presets are files `NAME_toy.toml` and `NAME_paper.toml`, with `_` for `-`; whatever follows from the task is
    filled in by `nascc.nas.methods.configure`.
    """

    name: str
    title: str
    config: type[RunConfig]
    phases: Callable[[RunConfig], Method]
    configure: Callable[..., RunConfig] | None = None
    """For methods that search no macro space: takes what `nascc.nas.methods.configure.configure` takes."""
    kinds: tuple[Kind, ...] = ("classification",)
    """The kinds of task that it learns."""
    kept: tuple[str, ...] = ()
    """Names of the phases that training again takes over, where they are others than profile and searches."""

    def preset(self, name: str) -> dict[str, Any]:
        """The fields of a preset, as data. Raises SearchError."""
        if name not in PRESETS:
            raise SearchError(f"a preset must be one of {', '.join(PRESETS)}, got '{name}'")
        text = (resources.files(FOLDER) / f"{self.name.replace('-', '_')}_{name}.toml").read_text("utf-8")
        return tomllib.loads(text)


def standard_method(config: RunConfig, own: tuple[Phase, ...]) -> Method:
    """Profile, the phases of the method, retrain, emit; on a device, what is found and deployed is measured there."""
    if config.device is None:
        return Profile(), *own, Retrain(), Emit()
    return Profile(), *own, OnBoard(), Retrain(), Emit(), MeasureDeployed()
