"""`nascc build`: an ONNX file becomes an engine on the device that will run it, or an int8 file for onnxruntime."""

from pathlib import Path
from typing import Annotated

import typer

from nascc.tools.device_options import Devices, Precisions
from nascc.tools.execution import Answer, execute
from nascc.tools.files import require_writable
from nascc.tools.grouped import grouped
from nascc.tools.groups import Showing
from nascc.tools.options import Seed, Shapes, Target
from nascc.tools.progress import Say


@grouped
def build(
    file: Annotated[Path, typer.Argument(help="An ONNX file; `nascc fuse` makes one of a model.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="What to write.  [FILE's name.engine; .int8.onnx for onnxruntime]"),
    ] = None,
    *,
    target: Target,
    precisions: Precisions,
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="Inputs to calibrate and compare on: an .npz file, or a folder of images with one folder a class.",
        ),
    ] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Top-1 accuracy that may be lost: of the labels of a folder, else of agreement with float64.",
        ),
    ] = None,
    workspace: Annotated[
        int | None, typer.Option(metavar="MiB", min=1, help="Memory that building may use.  [TensorRT's own limit]")
    ] = None,
    shapes: Shapes = None,
    devices: Devices,
    seed: Seed = 0,
    showing: Showing,
) -> None:
    """Build an engine on a device, or an int8 file for here.

    The engine is built there, run on the inputs, compared with float64, timed layer by layer, and comes back with a
    manifest beside it. In fp16, layers that would overflow or lose accuracy stay in fp32; in int8, convolutions
    and additions are quantised. The exit code is 4 when it can not be built, 5 when it computes something else.
    """

    def work(say: Say) -> Answer:
        from nascc.tools.built import Wanted, build_file

        if output is not None:
            require_writable(output, "--output")
        wanted = Wanted(file, output, target, data, max_drop, workspace, tuple(shapes or ()), seed)
        return build_file(wanted, devices, precisions, say)

    execute("build", showing.reporting, work)
