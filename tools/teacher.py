"""Bring a teacher into a run, as an exported program of our own that its processes can open."""

import torch

from nascc.nas.phases.config import RunConfig
from nascc.nas.phases.problem import Problem
from nascc.nas.phases.retrain import TEACHER
from nascc.nas.run import RunDirectory
from nascc.nas.run.files import write_whole
from nascc.tools.source import Source


def put_teacher(run: RunDirectory, config: RunConfig) -> None:
    """Open the model that the configuration names, and keep it in the run for images of its task.

    Raises CommandError and CompileError where it can not be opened or captured.
    """
    import io

    from nascc.compiler import compile

    source = Source(config.teacher, None, None, None, False)
    image = "x".join(map(str, Problem(config).task.input_shape))
    compiled = compile(source.open().module, shapes=[f"images:Nx{image}"], lower=False, passes=(), verify=False)
    program = torch.export.export(
        compiled.module,
        (torch.zeros(2, *Problem(config).task.input_shape),),
        dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
    )
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    write_whole(run.path / TEACHER, buffer.getbuffer())
