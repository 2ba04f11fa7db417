"""Bring a user's network into a run of compression, checked before anything is written."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.export import ExportedProgram

from nascc.compiler.capture import exported
from nascc.compiler.shapes import parse_shapes
from nascc.nas.hant.config import HantConfig
from nascc.nas.hant.study import PROGRAM, require_classes
from nascc.nas.methods import find_method
from nascc.nas.methods.configure import checked, configure
from nascc.nas.netadapt.config import NetAdaptConfig
from nascc.nas.netadapt.profile import require_outputs
from nascc.nas.netadapt.study import PROGRAM as INITIAL
from nascc.nas.netadapt.study import space_of
from nascc.nas.regions import Teacher
from nascc.nas.regions.teacher import BATCH, INPUT, captured_for
from nascc.nas.tasks import TaskConfig, open_task
from nascc.runtime.profile import load_target
from nascc.tools.errors import CommandError
from nascc.tools.execution import Answer
from nascc.tools.groups import Showing
from nascc.tools.open_alone import open_alone
from nascc.tools.search_options import Preset, Running, usual_preset
from nascc.tools.searched import run_search
from nascc.tools.source import ZOO, Source

if TYPE_CHECKING:
    from nascc.tools.open_model import Opened

Bringing = HantConfig | NetAdaptConfig
"""Runs that a user may bring a network to."""


def program_file(config: Bringing) -> str:
    """What the network is called in its run."""
    return PROGRAM if isinstance(config, HantConfig) else INITIAL


def begin_compressing(
    method: str,
    preset: Preset | None,
    target: str,
    model: dict[str, Any] | None,
    asked: dict[str, Any],
    running: Running,
    showing: Showing,
) -> Answer:
    """Open the network, configure a run and do it. Raises what opening, configuring and running raise."""
    from nascc.tools.commands.search import first_free, wants_progress

    load_target(target)
    task = asked.pop("task", {})
    opened = None if model is None else _opened(model)
    if model is not None and opened is not None:
        asked["model"] = model | {"file": _absolute(model["file"]), "sha256": opened.sha256}
        if (side := _side(opened)) is not None and isinstance(task, dict):
            task = {"resolution": side} | task
    config_of_task = checked(TaskConfig, task, "task")
    name = preset or usual_preset(config_of_task)
    config = configure(find_method(method), name.value, target, config_of_task, asked)
    assert isinstance(config, (HantConfig, NetAdaptConfig))
    program = None if opened is None else checked_program(config, opened)
    stem = Path(target).stem if target.endswith(".toml") else target
    where = running.output or first_free(f"run-{stem}")
    return run_search(where, config, running, wants_progress(showing), resume=False, program=program)


def source_of(model: dict[str, Any]) -> Source:
    """Where a configuration says that its network comes from."""
    return Source(
        model.get("file"),
        model.get("callable"),
        model.get("kwargs"),
        model.get("state_key"),
        bool(model.get("allow_pickle")),
    )


def _opened(model: dict[str, Any]) -> "Opened":
    """The network, of a command that takes a file alone, or one that says how it is opened."""
    return open_alone(model["file"], "--model") if model.keys() == {"file"} else source_of(model).open()


def program_again(config: Bringing) -> bytes:
    """The program of a run that was killed before it had one. Raises CommandError where the file has changed."""
    assert config.model is not None
    model = config.model.model_dump()
    opened = source_of(model).open()
    if opened.sha256 != config.model.sha256:
        raise CommandError(f"'{config.model.file}' must be the file the run began with, found another; start anew")
    return checked_program(config, opened)


def checked_program(config: Bringing, opened: "Opened") -> bytes:
    """The network as an exported program in a file of ours, once it is known that the method can work on it.

    Raises SearchError for networks in which nothing can be replaced or shrunk, and for others than the data ask for,
    CompileError.
    """
    module = opened.module
    if not isinstance(module, ExportedProgram):
        shape = "x".join(map(str, (BATCH, *config.image)))
        module = exported(module, parse_shapes([f"{INPUT}:{shape}"]))
    check_teacher(config, module) if isinstance(config, HantConfig) else check_initial(config, module)
    buffer = io.BytesIO()
    torch.export.save(module, buffer)
    return buffer.getvalue()


def check_teacher(config: HantConfig, module: ExportedProgram) -> None:
    """Raise SearchError unless the network has blocks to replace, and the classes of the data or a head to replace."""
    teacher = Teacher.of(module, config.image, config.blocks)
    teacher.require_blocks()
    if not config.new_head:
        require_classes(teacher.classes, len(config.task.classes))
    else:
        teacher.with_head(len(config.task.classes), config.seed)


def check_initial(config: NetAdaptConfig, module: ExportedProgram) -> None:
    """Raise SearchError unless some layer of the network may lose filters, and it answers what the task asks."""
    require_outputs(space_of(config, captured_for(module, config.image)).graph, open_task(config.task))


def _side(opened: "Opened") -> int | None:
    """The side of the square images that a file says its network reads; None for what reads others too."""
    if not isinstance(opened.module, ExportedProgram) or len(opened.default_shapes) != 1:
        return None
    sizes = opened.default_shapes[0].split(":")[1].split("x")
    is_square = len(sizes) == 4 and sizes[2] == sizes[3] and sizes[2].isdecimal()
    return int(sizes[2]) if is_square else None


def _absolute(file: str | None) -> str | None:
    return file if file is None or file.startswith(ZOO) else str(Path(file).absolute())
