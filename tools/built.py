"""Build an engine on a device, or an int8 file here, prove it, and tell what it came to."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from onnx import ModelProto

from nascc.compiler.deployable import Deployable, deployable
from nascc.compiler.deployed_outputs import against_exact
from nascc.compiler.errors import NotEquivalent, UnsupportedByTarget
from nascc.compiler.exact_onnx import exact_values
from nascc.compiler.lowering.save import write_onnx
from nascc.compiler.output import atomically
from nascc.compiler.provenance import input_file, new_report, output_file, target_entry
from nascc.compiler.report import Report
from nascc.compiler.target_lint import blocking, check_target
from nascc.runtime.compare import top1_agreement
from nascc.runtime.engine_manifest import manifest_of
from nascc.runtime.measure_onnx import Shapes
from nascc.runtime.onnx_file import read_onnx
from nascc.runtime.profile import Target, load_target
from nascc.runtime.remote.board import open_board
from nascc.runtime.remote.tensorrt import Engine, TensorRtBoard
from nascc.runtime.runners.base import Array
from nascc.runtime.runners.onnx import OnnxRunner
from nascc.runtime.table import Precision
from nascc.tools.benched import measured_latency
from nascc.tools.benched_there import device_entry, state_warnings
from nascc.tools.calibration_data import Labelled, labelled, samples_of, top1
from nascc.tools.commands.bench import fixed_sizes
from nascc.tools.device_options import Devices, Precisions
from nascc.tools.errors import CommandError
from nascc.tools.execution import Answer
from nascc.tools.progress import Say
from nascc.tools.render import line, warnings

Outputs = Sequence[dict[str, Array]]
SHOWN, PROVEN, SLOWEST = 8, 4, 5


@dataclass(frozen=True)
class Wanted:
    """What is built, from what."""

    file: Path
    output: Path | None
    target: str
    data: Path | None
    max_drop: float | None
    workspace: int | None
    shapes: Sequence[str]
    seed: int


@dataclass(frozen=True)
class Source:
    """The ONNX file with the inputs that it is calibrated on and compared with."""

    model: ModelProto
    shapes: Shapes
    samples: Outputs
    labels: Labelled | None
    warnings: tuple[str, ...]


def build_file(wanted: Wanted, devices: Devices, precisions: Precisions, say: Say) -> Answer:
    """Build for the target. Raises CommandError, UnsupportedByTarget, NotEquivalent, and what a board raises."""
    target, report = load_target(wanted.target), new_report("build", seed=wanted.seed)
    precision = precisions.chosen(target)
    report.target = target_entry(target, None)
    if target.tensorrt is None and (precision != "int8" or devices.device):
        raise CommandError(
            f"'{target.name}' runs ONNX files as they are; build int8 for it with --int8, without --device"
        )
    if target.tensorrt is not None and not devices.device:
        raise CommandError("--device must name the board that the engine is for: engines run only where they are built")
    say("open")
    source = _source(wanted, target)
    report.inputs, report.warnings = (input_file(wanted.file, "onnx"),), source.warnings
    if target.tensorrt is None:
        return _build_here(wanted, source, report, say)
    return _build_there(wanted, source, target, precision, devices, report, say)


def _source(wanted: Wanted, target: Target) -> Source:
    import onnx

    model = read_onnx(wanted.file)
    if stops := blocking(check_target(model, target)):
        raise UnsupportedByTarget(f"{target.name} can not run '{wanted.file}': {stops[0]}; see `nascc check`")
    model = onnx.load(wanted.file)  # with its weights
    shapes = fixed_sizes(model, wanted.shapes)
    samples, said = samples_of(model, wanted.data, shapes, wanted.seed)
    labels = labelled(model, wanted.data) if wanted.data is not None and wanted.data.is_dir() else None
    return Source(model, shapes, samples, labels, said)


def _build_here(wanted: Wanted, source: Source, report: Report, say: Say) -> Answer:
    """int8 for onnxruntime."""
    say("quantise")
    made = deployable(source.model, "int8", source.samples, None)
    say("verify")
    found = _accuracy(wanted, source, made, lambda feeds: _run_here(made.model, feeds))
    destination = wanted.output or wanted.file.with_suffix(".int8.onnx")
    write_onnx(made.model, destination)
    report.outputs = (output_file(destination, precision="int8"),)
    report.findings = tuple(error.entry() for error in made.layers)
    report.verification = "done"
    lines = (*_layer_lines(made), *found, line("wrote", str(destination)), *warnings(report))
    return Answer(report, lines)


def _run_here(model: ModelProto, feeds: Outputs) -> Outputs:
    with OnnxRunner(model) as runner:
        return [runner.run(feed) for feed in feeds]


def _build_there(
    wanted: Wanted, source: Source, target: Target, precision: Precision, devices: Devices, report: Report, say: Say
) -> Answer:
    """An engine of TensorRT."""
    import tempfile

    access = devices.one()
    say("calibrate")
    assert target.tensorrt is not None
    made = deployable(source.model, precision, source.samples, target.tensorrt)
    destination = wanted.output or wanted.file.with_suffix(".engine")
    settings = {"precision": precision, "pinned": () if made.typed else made.pinned, "workspace_mib": wanted.workspace}
    with tempfile.TemporaryDirectory(prefix="nascc-") as folder:
        file = Path(folder) / wanted.file.name
        write_onnx(made.model, file)
        say("connect")
        with open_board(access, target, **settings) as board:  # type: ignore[arg-type]
            assert isinstance(board, TensorRtBoard)
            say("build")
            engine = board.engine(file, source.shapes)
            say("verify")
            run = partial(_run_there, board, engine, file)
            compared = _compared(source, precision, run(source.samples[:PROVEN]))
            accuracy = _accuracy(wanted, source, made, run)
            say("measure")
            timings, layers = board.measure([file], source.shapes), board.profile(engine)
            content, cache = board.fetch(engine), board.fetch_cache()
            report.device = device_entry(board, board.facts, precision)
    with atomically(destination) as temporary:
        temporary.write_bytes(content)
    if cache is not None:
        with atomically(cache_file := destination.with_suffix(".cache")) as temporary:
            temporary.write_bytes(cache)
    gpu = None if engine.log is None else engine.log.device
    manifest = manifest_of(
        destination, wanted.file, board.facts, gpu=gpu, target=target.name, precision=precision, pinned=made.pinned,
        shapes=source.shapes, timing_cache=None if cache is None else cache_file, layers=engine.types,
    ).write(destination)  # fmt: skip
    report.outputs = (output_file(destination, precision=precision), output_file(manifest))
    report.latency, report.verification = measured_latency(timings), "done"
    report.kernels = tuple({"name": t.name, "measured_ms": t.mean_ms, "percent": t.percent} for t in layers)
    report.findings = tuple(error.entry() for error in made.layers)
    said = state_warnings(board.facts, board.facts, target)
    report.warnings = (*report.warnings, *said, *_type_warnings(engine, precision))
    t = timings.timings[0].spent
    lines = (
        line("built", f"{destination}  {len(content) / 2**20:.1f} MiB, {board.words}, {_types_words(engine)}"),
        *_layer_lines(made),
        *compared,
        *accuracy,
        line(
            "measured", f"{t.median_ms:.3g} ms   p10 {t.p10_ms:.3g}, p90 {t.p90_ms:.3g}, p99 {t.p99_ms:.3g}, GPU time"
        ),
        *(line("slowest", f"{s.percent:.1f} %  {s.name}") for s in sorted(layers, key=lambda s: -s.percent)[:SLOWEST]),
        line("wrote", f"{destination}, {manifest.name}"),
        *warnings(report),
    )
    return Answer(report, lines)


def _run_there(board: TensorRtBoard, engine: Engine, file: Path, feeds: Outputs) -> Outputs:
    return [board.run(engine, file, feed) for feed in feeds]


def _type_warnings(engine: Engine, precision: Precision) -> Iterator[str]:
    """Up to TensorRT 10 the builder may choose wider types where they are faster."""
    wide = {name: n for name, n in engine.types.items() if name not in (precision, "unknown", "fp16")}
    if precision != "fp32" and wide:
        found = ", ".join(f"{count} layers in {name}" for name, count in wide.items())
        yield f"asked for {precision}, the engine has {found}: TensorRT found them faster, or they were kept"


def _types_words(engine: Engine) -> str:
    return ", ".join(f"{count} layers in {name}" for name, count in engine.types.items()) or "types not told"


def _compared(source: Source, precision: Precision, outputs: Outputs) -> list[str]:
    """Outputs of the engine against float64. Raises NotEquivalent where one is too far off."""
    found = against_exact(source.model, source.samples[: len(outputs)], outputs, precision)
    if wrong := [f"output '{c.name}': {c.reason}" for c in found if not c]:
        raise NotEquivalent(f"the engine must compute what '{source.model.graph.name}' computes, but {wrong[0]}")
    error = max((c.max_rel or 0.0 for c in found), default=0.0)
    snr = min((c.snr_db for c in found if c.snr_db is not None), default=float("inf"))
    return [line("verified", f"{error:.1e} from float64 on {len(outputs)} samples, SNR {snr:.0f} dB")]


def _accuracy(wanted: Wanted, source: Source, made: Deployable, run: Callable[[Outputs], Outputs]) -> list[str]:
    """Top-1 before and after. Raises NotEquivalent where more is lost than --max-drop."""
    if source.labels is None and wanted.max_drop is None:
        return []
    outputs = [output.name for output in source.model.graph.output]
    if source.labels is not None:
        feeds = source.labels.batches
        own = top1(source.labels, [o[outputs[0]] for o in _run_here(source.model, feeds)])
        new = top1(source.labels, [o[outputs[0]] for o in run(feeds)])
        words = f"top-1 {own:.2%} in fp32, {new:.2%} in {made.precision}, {len(source.labels.labels)} images"
        drop = own - new
    else:
        exact = [exact_values(source.model, sample)[outputs[0]] for sample in source.samples]
        values = [o[outputs[0]] for o in run(source.samples)]
        shares = [top1_agreement(e, v) or 0.0 for e, v in zip(exact, values, strict=True)]
        drop = 1 - sum(shares) / len(shares)
        words = f"top-1 agrees with float64 on {1 - drop:.2%} of the inputs"
    if wanted.max_drop is not None and drop > wanted.max_drop:
        worst = sorted(made.layers, key=lambda e: e.snr_db)[:3]
        names = ", ".join(f"'{e.node}' {e.snr_db:.0f} dB" for e in worst)
        raise NotEquivalent(
            f"{made.precision} must lose at most {wanted.max_drop:.2%} of top-1, but it loses {drop:.2%}; "
            f"the worst layers are {names}; calibrate on more data, or use --fp16"
        )
    return [line("accuracy", words)]


def _layer_lines(made: Deployable) -> Iterator[str]:
    """What stays in fp32, and the layers that are farthest from float64."""
    if made.pinned:
        more = f" and {len(made.pinned) - SHOWN} more" if len(made.pinned) > SHOWN else ""
        why = f", {len(made.overflowing)} of them because values overflow" if made.overflowing else ""
        yield line("fp32", f"{', '.join(made.pinned[:SHOWN])}{more}{why}")
    if made.snr_db is not None:
        agree = "" if made.agreement is None else f", top-1 agrees on {made.agreement:.1%}"
        yield line("SQNR", f"{made.snr_db:.1f} dB at the outputs{agree}")
    for error in sorted(made.layers, key=lambda e: e.snr_db)[:3]:
        yield line(
            "layer", f"{error.snr_db:.1f} dB, {error.relative:.1e} from float64  {error.node} ({error.operator})"
        )
