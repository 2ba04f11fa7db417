"""`nascc profile`: measure networks of a space, or refit a target's latency model to measurements of your own."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nascc.tools.device_options import Devices, Precisions
from nascc.tools.errors import CommandError
from nascc.tools.execution import Answer, execute
from nascc.tools.files import require_writable, write_text
from nascc.tools.grouped import grouped
from nascc.tools.groups import Telling
from nascc.tools.options import PowerMode, Target, four_sizes
from nascc.tools.progress import Say
from nascc.tools.progress_bar import ProgressBar

if TYPE_CHECKING:
    from nascc.runtime.evaluation import Score
    from nascc.runtime.kernels import Kernel
    from nascc.runtime.refit import Refit


@dataclass(frozen=True)
class Sampling:
    """Which networks of a space are measured."""

    space: Annotated[str | None, typer.Option(metavar="MACRO", help="Measure networks of this space: lightnas.")] = None
    samples: Annotated[int, typer.Option(help="How many of them.", min=3)] = 1000
    shapes: Annotated[
        str | None, typer.Option(metavar="NxCxHxW", help="Their input, batch included.  [1, and that of the space]")
    ] = None
    classes: Annotated[int, typer.Option(help="Their classes.", min=2)] = 1000
    seed: Annotated[int, typer.Option(help="Which networks, and their weights.", min=0)] = 0

    @property
    def shape(self) -> tuple[int, ...] | None:
        """[N, C, H, W]. Raises CommandError."""
        return None if self.shapes is None else four_sizes(self.shapes)


@grouped
def profile(
    target: Target,
    measurements: Annotated[
        Path | None,
        typer.Option(
            help="A CSV with the columns model and latency_ms. A model is an .onnx file, found from the CSV's folder, "
            "or a network of the public tables such as torchvision:resnet50.",
        ),
    ] = None,
    power_mode: PowerMode = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The profile to write, or the folder of measured networks.  [TARGET's name-measured.toml, "
            "profile-SPACE-TARGET]",
        ),
    ] = None,
    *,
    sampling: Sampling,
    devices: Devices,
    precisions: Precisions,
    telling: Telling,
) -> None:
    """Refit a latency model, or measure networks of a space.

    With --measurements the result is a profile for --target; three networks or more make a difference, and the power
    mode is the one that they were measured in. With --space random networks are measured on --device, or here,
    each is kept as soon as it is known, and the same command goes on after any end; `nascc search --measured
    latency=FOLDER/networks.csv` uses them.
    """

    def work(say: Say) -> Answer:
        if (measurements is None) == (sampling.space is None):
            raise CommandError("either --measurements or --space must be given")
        if measurements is not None:
            return refit_profile(measurements, target, output, power_mode, say)
        from nascc.tools.profiled import Wanted, profile_space

        wanted = Wanted(sampling, target, power_mode, output, precisions, devices.access)
        return profile_space(wanted, ProgressBar(not telling.as_json))

    execute("profile", replace(telling.reporting, progress=False), work)


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
