"""Runs that are there: their configuration, and whether a command line means the same one."""

from pathlib import Path
from typing import Any

from nascc.nas.errors import RunMismatch
from nascc.nas.macro import load_macro
from nascc.nas.methods import find_method
from nascc.nas.methods.configure import checked, merged
from nascc.nas.phases.config import RunConfig
from nascc.nas.run.configuration import differences, read_config, read_document
from nascc.nas.tasks import TaskConfig, open_task
from nascc.tools.errors import CommandError


def read_run(path: Path, option: str) -> RunConfig:
    """The configuration of the run at `path`. Raises CommandError, RunMismatch, CorruptRun."""
    if not path.is_dir():
        raise CommandError(f"{option} must name the directory of a run, found none at '{path}'")
    found: dict[str, Any] = read_document(path)["config"]
    return read_config(path, find_method(str(found.get("method"))).config)


def require_same(path: Path, config: RunConfig, asked: dict[str, Any], output: Path | None = None) -> None:
    """Raise RunMismatch, with every difference, when options say other things than the run was begun with."""
    if output is not None and output.absolute() != path.absolute():
        raise CommandError(f"-o must be left out with --resume, or name the same run, got '{output}'")
    there = config.model_dump(mode="json")
    wanted = checked(type(config), merged(there, _resolved(asked, there["task"]))).model_dump(mode="json")
    if changes := differences(there, wanted):
        raise RunMismatch(
            f"'{path}' must be resumed with the configuration it began with, but {'; '.join(changes)}; "
            "leave these options out, or start anew in another folder"
        )


def _resolved(asked: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    """Names of macros and classes as a configuration holds them."""
    resolved = dict(asked)
    if isinstance(macro := asked.get("macro"), str):
        resolved["macro"] = load_macro(macro).model_dump(mode="json")
    if "classes" in asked.get("task", {}):
        again = merged(task, asked["task"]) | {"fingerprint": None}
        resolved["task"] = asked["task"] | {"classes": open_task(checked(TaskConfig, again, "task")).classes}
    return resolved
