"""`nascc fuse`: a trained model becomes a verified ONNX file."""

from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from nascc.tools.errors import CommandError
from nascc.tools.execution import Answer, execute
from nascc.tools.files import read_arrays, require_writable
from nascc.tools.grouped import grouped
from nascc.tools.groups import Inputs, Opening, Showing
from nascc.tools.options import Collapse, Data, PowerMode, Seed, Target
from nascc.tools.progress import Say
from nascc.tools.source import Source, words

SUFFIXES = (".onnx", ".pt2")


class CollapseCost(str, Enum):
    """What decides where that pays."""

    target = "target"
    flops = "flops"
    measured = "measured"


@dataclass(frozen=True)
class Aim:
    """What is compiled for."""

    target: Target = "cpu"
    power_mode: PowerMode = None
    opset: Annotated[int | None, typer.Option(help="ONNX opset, 11 to 20.  [the target's]")] = None
    allow_unsupported: Annotated[
        bool, typer.Option("--allow-unsupported", help="Write what the target can not run, and list the findings.")
    ] = False


@dataclass(frozen=True)
class Names:
    """What inputs and outputs are called."""

    input_names: Annotated[str | None, typer.Option(help="Names of the inputs, with commas.")] = None
    output_names: Annotated[str | None, typer.Option(help="Names of the outputs, with commas.")] = None


@dataclass(frozen=True)
class Rewriting:
    """Which passes run, and how far they go."""

    passes: Annotated[str | None, typer.Option(help="Run these passes only, in this order: 'FoldBatchNorm,...'.")] = (
        None
    )
    skip_pass: Annotated[list[str] | None, typer.Option(help="Leave this pass out. Repeatable.")] = None
    collapse: Annotated[
        Collapse,
        typer.Option(
            help="Merge branches and collapse linear chains: where it pays; always, which gives the fewest operators "
            "but may be slower; or never.",
        ),
    ] = Collapse.auto
    collapse_cost: Annotated[
        CollapseCost,
        typer.Option(
            help="What pays: less time by the target's latency model (fewer operations where it has none); "
            "fewer operations; or less time measured in onnxruntime here, which takes longer and varies.",
        ),
    ] = CollapseCost.target
    keep_residuals: Annotated[
        bool, typer.Option("--keep-residuals", help="Leave x + f(x) an addition: what is quantised to int8 needs it.")
    ] = False
    simplify: Annotated[bool, typer.Option("--simplify", help="Run onnxsim on the result, in a worker.")] = False

    def settings(self) -> dict[str, Any]:
        """The same as arguments of `compile()`."""
        return {
            "passes": self.passes,
            "skip": tuple(self.skip_pass or ()),
            "collapse": self.collapse.value,
            "collapse_cost": self.collapse_cost.value,
            "keep_residuals": self.keep_residuals,
            "simplify": self.simplify,
        }


@grouped
def fuse(
    file: Annotated[
        str | None,
        typer.Argument(help="A .pt2, checkpoint, state dict or .safetensors file, or zoo:NAME; nothing with --model."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="What to write: .onnx, or .pt2 for PyTorch. [FILE's name.onnx]"),
    ] = None,
    *,
    aim: Aim,
    inputs: Inputs,
    names: Names,
    opening: Opening,
    rewriting: Rewriting,
    verify: Annotated[bool, typer.Option("--verify/--no-verify", help="Prove the result equal (recorded).")] = True,
    data: Data = None,
    seed: Seed = 0,
    showing: Showing,
) -> None:
    """Turn a trained model into a verified ONNX file.

    The graph is rewritten in float64 and checked after every pass, lowered to ONNX for the target, and compared with
    the original; the file appears only when all of that went well and the target can run it.
    """
    source = opening.source(file)
    settings = {
        **asdict(aim),
        **rewriting.settings(),
        "shapes": tuple(inputs.shapes or ()) or None,
        "input_names": words(names.input_names),
        "output_names": words(names.output_names),
        "verify": verify,
        "seed": seed,
    }

    def work(say: Say) -> Answer:
        destination = output or Path(f"{source.stem}.onnx")
        check_output(destination, source)
        given = {**inputs.statistics(), "data": read_arrays(data)}
        return fuse_source(source, destination, settings | given, say, verbose=showing.verbose)

    execute("fuse", showing.reporting, work)


def check_output(output: Path, source: Source) -> None:
    """Raise CommandError unless `output` is of a known kind, in a writable folder, and not the model itself."""
    if output.suffix not in SUFFIXES:
        raise CommandError(f"--output must end in {' or '.join(SUFFIXES)}, got '{output}'")
    require_writable(output, "--output")
    if source.path is not None and output.exists() and source.path.exists() and output.samefile(source.path):
        raise CommandError(f"--output must not be the model itself, got '{output}'; name another file with -o")


def fuse_source(source: Source, output: Path, settings: dict[str, Any], say: Say, *, verbose: bool = False) -> Answer:
    """Open the model, compile it, and put the result in its place."""
    say("open")
    opened = source.open()
    from nascc.compiler import compile
    from nascc.tools.fused import lines

    if settings["shapes"] is None and opened.format != "pt2":
        settings["shapes"] = opened.default_shapes or None
    compiled = compile(opened.module, progress=say, lower=output.suffix == ".onnx", **settings)
    say("write")
    compiled.save(output)
    report = compiled.report
    report.command, report.inputs = "fuse", source.entries(opened)
    report.warnings = (*opened.warnings, *report.warnings)
    return Answer(report, lines(compiled, opened.name, source, verbose=verbose))
