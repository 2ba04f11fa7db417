"""`nascc fuse`: a trained model becomes a verified ONNX file."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nascc.tools.errors import CommandError
from nascc.tools.execution import Answer, execute
from nascc.tools.files import require_writable
from nascc.tools.options import (
    AllowPickle,
    Data,
    Json,
    Kwargs,
    Model,
    NoProgress,
    Reporting,
    ReportPath,
    Seed,
    Shapes,
    StateKey,
    Verbose,
)

from nascc.tools.progress import Say
from nascc.tools.source import Source, numbers, words

SUFFIXES = (".onnx", ".pt2")


def fuse(
    file: Annotated[str, typer.Argument(help="A model file (.pt2, checkpoint, state dict, .safetensors) or zoo:NAME.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="What to write: .onnx, or .pt2 for PyTorch. [FILE's name.onnx]"),
    ] = None,
    target: Annotated[str, typer.Option(help="A profile that `nascc targets` lists, or a .toml file.")] = "cpu",
    opset: Annotated[int | None, typer.Option(help="ONNX opset, 11 to 20.  [the target's]")] = None,
    shapes: Shapes = None,
    input_names: Annotated[str | None, typer.Option(help="Names of the inputs, with commas.")] = None,
    output_names: Annotated[str | None, typer.Option(help="Names of the outputs, with commas.")] = None,
    mean: Annotated[str | None, typer.Option(help="Per-channel mean that is folded into the network.")] = None,
    std: Annotated[str | None, typer.Option(help="Per-channel deviation that is folded into the network.")] = None,
    model: Model = None,
    kwargs: Kwargs = None,
    state_key: StateKey = None,
    allow_pickle: AllowPickle = False,
    passes: Annotated[str | None, typer.Option(help="Run these passes only: 'FoldBatchNorm,...'.")] = None,
    skip_pass: Annotated[list[str] | None, typer.Option(help="Leave this pass out. Repeatable.")] = None,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Prove the result equal (recorded).")] = True,
    data: Data = None,
    simplify: Annotated[bool, typer.Option("--simplify", help="Run onnxsim on the result, in a worker.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
    report: ReportPath = None,
    no_progress: NoProgress = False,
    verbose: Verbose = False,
) -> None:
    """Rewrite a trained model, lower it to ONNX for a target, and prove it equal to the original."""
    settings = {
        "target": target,
        "opset": opset,
        "shapes": shapes or None,
        "input_names": words(input_names),
        "output_names": words(output_names),
        "passes": words(passes),
        "skip": tuple(skip_pass or ()),
        "verify": verify,
        "simplify": simplify,
        "data": data,
        "seed": seed,
    }
    source = Source(file, model, kwargs, state_key, allow_pickle)
    reporting = Reporting(as_json, report, verbose, progress=not no_progress)

    def work(say: Say) -> Answer:
        settings["mean"], settings["std"] = numbers(mean, "--mean"), numbers(std, "--std")
        return fuse_file(source, output or Path(f"{source.stem}.onnx"), settings, say)

    execute("fuse", reporting, work)


def fuse_file(source: Source, output: Path, settings: dict[str, Any], say: Say) -> Answer:
    """Open, compile, and put the result in its place; raise before any work when it could not be put there."""
    check_output(output, source)
    opened = source.open()
    from nascc.compiler import compile

    compiled = compile(opened.module, progress=say, **settings)
    compiled.save(output)
    return Answer(compiled.report, ())


def check_output(output: Path, source: Source) -> None:
    """Raise CommandError unless `output` is of a known kind, in a writable folder, and not the model itself."""
    if output.suffix not in SUFFIXES:
        raise CommandError(f"--output must end in {' or '.join(SUFFIXES)}, got '{output}'")
    require_writable(output, "--output")
    if source.path is not None and output.exists() and source.path.exists() and output.samefile(source.path):
        raise CommandError(f"--output must not be the model itself, got '{output}'; name another file with -o")
