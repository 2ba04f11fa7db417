"""Bring a teacher into a run, as an exported program of our own that its processes can open."""

import io

import torch

from nascc.compiler import compile
from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.problem import Problem
from nascc.nas.phases.retrain import TEACHER
from nascc.nas.run import RunDirectory
from nascc.nas.run.files import write_whole
from nascc.tools.errors import CommandError
from nascc.tools.open_alone import open_alone


def put_teacher(run: RunDirectory, config: RunConfig) -> None:
    """Open the model that the configuration names, and keep it in the run for images of its task.

    Raises CommandError and CompileError where it can not be opened, can not be captured, or knows other classes.
    """
    task = Problem(config).task
    image = "x".join(map(str, task.input_shape))
    assert config.teacher is not None
    network = open_alone(config.teacher, "--teacher").module
    compiled = compile(network, shapes=[f"images:Nx{image}"], lower=False, passes=(), verify=False)
    images = torch.zeros(2, *task.input_shape)
    logits = compiled.module(images)
    maps = task.input_shape[1:] if task.kind == "depth" else ()
    wanted = (2, len(task.classes), *maps)
    if not isinstance(logits, torch.Tensor) or tuple(logits.shape) != wanted:
        found = list(logits.shape[1:]) if isinstance(logits, torch.Tensor) else type(logits).__name__
        what = f"a depth a pixel, {list(wanted[1:])}" if maps else f"a logit for each of the {wanted[1]} classes"
        raise CommandError(f"--teacher must give {what}, but gives {found}")
    batch = torch.export.Dim("N", min=1)
    program = torch.export.export(compiled.module, (images,), dynamic_shapes=({0: batch},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    write_whole(run.path / TEACHER, buffer.getbuffer())
