"""Measure networks of a space on boards or here, and tell how well they are predicted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nascc.compiler.provenance import new_report, output_file, target_entry
from nascc.compiler.report import Object
from nascc.nas.costs import Deployment, Describer, Quality, describe
from nascc.nas.costs.described import DescribedSpace
from nascc.nas.macro import load_macro
from nascc.nas.measured.campaign import TABLE, Campaign, noise_of, qualities
from nascc.nas.measured.here import Here
from nascc.nas.measured.journal import Pool
from nascc.nas.measured.stitch import Stitcher
from nascc.nas.spaces import MacroSpace
from nascc.runtime.errors import NotCalibrated
from nascc.runtime.profile import Target, load_target
from nascc.runtime.remote.access import Access
from nascc.runtime.remote.fleet import Fleet
from nascc.tools.commands.profile import Sampling
from nascc.tools.device_options import Precisions
from nascc.tools.errors import CommandError
from nascc.tools.execution import Answer
from nascc.tools.progress_bar import ProgressBar
from nascc.tools.render import line

DESCRIBED, MEASURED = "describe", "measure"


@dataclass(frozen=True)
class Wanted:
    """What is measured, where, and where the results go."""

    sampling: Sampling
    target: str
    power_mode: str | None
    output: Path | None
    precisions: Precisions
    access: Access | None


def profile_space(wanted: Wanted, bar: ProgressBar) -> Answer:
    """Measure what is not measured yet, and judge the predictors. Raises what describing and measuring raise."""
    target, report = load_target(wanted.target), new_report("profile", seed=wanted.sampling.seed)
    report.target = target_entry(target, wanted.power_mode)
    pool, where = _pool(wanted, target)
    folder = wanted.output or Path(f"profile-{wanted.sampling.space}-{target.name}")
    if folder.is_file():
        raise CommandError(f"--output must be a folder with --space, got the file '{folder}'")
    space, deployment = _space(wanted), _deployment(wanted, target)
    campaign = Campaign(
        folder, space, wanted.sampling.samples, wanted.sampling.seed,
        f"{wanted.sampling.space} {deployment.shape(space.input_shape)}, {deployment.identity}, {where}",
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    with bar:
        described = describe(
            space, Describer(deployment, folder), lambda done, total, _: bar.update(DESCRIBED, done, total)
        )
        stitcher = Stitcher(described, wanted.sampling.seed)
        campaign.run(stitcher, pool, lambda done, total: bar.update(MEASURED, done, total))
    _, values, pairs = campaign.values()
    found, noise = _qualities(campaign, described), noise_of(pairs)
    report.outputs = (output_file(folder / TABLE),)
    report.findings = tuple(_findings(found, noise, len(values), len(pairs)))
    report.warnings = tuple(f"{r.board} was retired: {r.reason}" for r in getattr(pool, "retired", ()))
    return Answer(report, tuple(_lines(found, noise, values, pairs, folder, where, report.warnings)))


def _pool(wanted: Wanted, target: Target) -> tuple[Pool, str]:
    """What measures, in words, too."""
    if wanted.access is not None:
        precision = wanted.precisions.chosen(target) if target.tensorrt else "fp32"
        words = f"on {len(wanted.access.addresses)} board{'s' * (len(wanted.access.addresses) != 1)}, {precision}"
        return Fleet.of(wanted.access, target, precision), words
    if target.software.runtime != "onnxruntime":
        raise CommandError(f"--device must name a board that is a '{target.name}'; only 'cpu' is measured here")
    return Here(), "here"


def _space(wanted: Wanted) -> MacroSpace:
    assert wanted.sampling.space is not None
    macro, shape = load_macro(wanted.sampling.space), wanted.sampling.shape
    image = None if shape is None else (shape[1], shape[2], shape[3])
    return MacroSpace(macro, wanted.sampling.classes, input_shape=image)


def _deployment(wanted: Wanted, target: Target) -> Deployment:
    shape = wanted.sampling.shape
    return Deployment(target, 1 if shape is None else shape[0], wanted.power_mode)


def _qualities(campaign: Campaign, described: DescribedSpace) -> list[Quality]:
    """By the target's latency model, corrected, and without it; by operations where it has none."""
    try:
        base = described.cost("latency")
    except NotCalibrated:
        base = described.cost("macs")
    return qualities(campaign, base)


def _findings(found: Sequence[Quality], noise: float | None, count: int, pairs: int) -> Iterator[Object]:
    yield {"networks": count, "noise": noise, "measured_twice": pairs}
    for q in found:
        yield {"predictor": q.predictor, "rmse_ms": q.rmse, "relative": q.relative, "tau": q.tau}


def _lines(
    found: Sequence[Quality],
    noise: float | None,
    values: Sequence[float],
    pairs: Sequence[tuple[float, float]],
    folder: Path,
    where: str,
    said: Sequence[str],
) -> Iterator[str]:
    yield line("measured", f"{len(values)} networks {where}, {min(values):.3g} to {max(values):.3g} ms")
    if noise is not None:
        yield line("noise", f"{noise:.1%} of a measurement, from {len(pairs)} networks measured twice")
    for q in sorted(found, key=lambda q: q.relative):
        yield line("predicts", f"{q.predictor:9} held-out RMSE {q.relative:.1%}, tau {q.tau:.2f}")
    for warning in said:
        yield line("warning", warning)
    yield line("wrote", str(folder / TABLE))
    yield line("next", f"nascc search --measured latency={folder / TABLE} ...")
