"""`nascc profile`: refit a target's latency model to measurements of your own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nascc.tools.errors import CommandError
from nascc.tools.execution import Answer, execute
from nascc.tools.files import require_writable, write_text
from nascc.tools.grouped import grouped
from nascc.tools.groups import Telling
from nascc.tools.options import PowerMode, Target
from nascc.tools.progress import Say

if TYPE_CHECKING:
    from nascc.runtime.evaluation import Score
    from nascc.runtime.kernels import Kernel
    from nascc.runtime.refit import Refit


@grouped
def profile(
    measurements: Annotated[
        Path,
        typer.Option(
            help="A CSV with the columns model and latency_ms. A model is an .onnx file, found from the CSV's folder, "
            "or a network of the public tables such as torchvision:resnet50.",
        ),
    ],
    target: Target,
    power_mode: PowerMode = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The profile to write.  [TARGET's name-measured.toml]")
    ] = None,
    *,
    telling: Telling,
) -> None:
    """Refit a target's latency model to your measurements.

    Three networks or more make a difference; the result is a profile for --target. The power mode is the one that they
    were measured in.
    """
    execute("profile", telling.reporting, lambda say: refit_profile(measurements, target, output, power_mode, say))


def refit_profile(measurements: Path, target: str, output: Path | None, power_mode: str | None, say: Say) -> Answer:
    """Fit, write the profile, and tell how well it fits."""
    from nascc.compiler.provenance import new_report
    from nascc.compiler.report import TargetEntry
    from nascc.runtime.latency_table import with_latency
    from nascc.runtime.measurements import read_measurements
    from nascc.runtime.profile import load_target, profile_text
    from nascc.runtime.refit import refit

    board = load_target(target)
    destination = output or Path(f"{board.name}-measured.toml")
    if destination.suffix != ".toml":
        raise CommandError(f"--output must be a .toml file, got '{destination}'")
    require_writable(destination, "--output")
    latencies = read_measurements(measurements)
    kernels = kernels_of(latencies, measurements.parent)
    found = refit(board, latencies, kernels, source=measurements.name, power_mode=power_mode)
    write_text(destination, with_latency(profile_text(target), found.table))
    load_target(destination)
    result = new_report("profile")
    result.target = TargetEntry(name=board.name, tensorrt=board.tensorrt, power_mode=found.table.power_mode)
    result.findings = ({"profile": str(destination), **found.table.model_dump(mode="json", exclude_none=True)},)
    return Answer(result, tuple(lines(found, destination)))


def lines(found: "Refit", destination: Path) -> list[str]:
    """What the fit came to, for a person."""
    shown = [
        f"estimated  {found.table.calibration}",
        f"fitted     {score_words(found.fitted)}",
        f"left out   {score_words(found.left_out)}",
    ]
    if found.before is not None:
        shown.append(f"before     {score_words(found.before)}")
    return [*shown, f"wrote      {destination}", f"next       nascc fuse MODEL --target {destination}"]


def score_words(score: "Score") -> str:
    """An error and a rank correlation in words."""
    return (
        f"{score.mape_percent:.1f} % mean error, {score.worst_percent:.1f} % at worst, rank correlation {score.tau:.2f}"
    )


def kernels_of(models: "dict[str, float]", folder: Path) -> "dict[str, tuple[Kernel, ...]]":
    """The kernels of each measured model; raise CommandError with all that are at hand nowhere."""
    from nascc.runtime.kernels_onnx import file_kernels
    from nascc.runtime.measurements import public_networks

    public = public_networks()
    found: dict[str, tuple[Kernel, ...]] = {}
    missing = []
    for model in models:
        path = next((p for p in (folder / model, Path(model)) if p.is_file()), None)
        name = next((n for n in (model, f"torchvision:{model}", f"timm:{model}") if n in public), None)
        if path is not None:
            found[model] = file_kernels(path)
        elif name is not None:
            found[model] = public[name]
        else:
            missing.append(model)
    if missing:
        raise CommandError(
            "every measured model must be an .onnx file or a network of the public tables, "
            f"found none for {', '.join(missing)}"
        )
    return found
