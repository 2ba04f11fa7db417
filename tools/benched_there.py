"""Measure files on a device, and tell what was found and how the device stood."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nascc.compiler.provenance import input_file, new_report, target_entry
from nascc.compiler.report import Object
from nascc.runtime.engine_manifest import SUFFIXES
from nascc.runtime.measure_onnx import Shapes
from nascc.runtime.onnx_file import read_onnx
from nascc.runtime.profile import Target, load_target
from nascc.runtime.remote.access import Access
from nascc.runtime.remote.board import Board, open_board
from nascc.runtime.remote.facts import Facts, read_facts
from nascc.runtime.remote.power import energy_of
from nascc.runtime.table import Precision
from nascc.tools.benched import measured_latency, measured_lines
from nascc.tools.commands.bench import fixed_sizes, require_comparable, require_known
from nascc.tools.device_options import Precisions
from nascc.tools.errors import CommandError
from nascc.tools.execution import Answer
from nascc.tools.progress import Say
from nascc.tools.render import line, warnings

if TYPE_CHECKING:
    from nascc.runtime.measure import Timings

HOT_C = 3.0
"""Degrees by which a device may warm up in a measurement before that is worth a warning."""


@dataclass(frozen=True)
class Asked:
    """What is measured, and how."""

    files: Sequence[Path]
    target: str
    shapes: Sequence[str]
    threads: int
    rounds: int | None
    seed: int
    energy: bool


def bench_there(asked: Asked, access: Access, precisions: Precisions, say: Say) -> Answer:
    """Measure on the one device. Raises what opening a board and measuring raise."""
    target, report = load_target(asked.target), new_report("bench", seed=asked.seed)
    precision = precisions.chosen(target)
    report.target = target_entry(target, None)
    say("open")
    shapes = _shapes(asked, target)
    report.inputs = tuple(input_file(f, "engine" if f.suffix in SUFFIXES else "onnx") for f in asked.files)
    with open_board(access, target, precision=precision) as board:
        say("measure")
        before = board.facts
        found = board.measure(asked.files, shapes, rounds=asked.rounds, threads=asked.threads, seed=asked.seed)
        extra: Object = {}
        if asked.energy:
            say("energy")
            extra = energy_of(board, asked.files[0], shapes, found.timings[0].spent.median_ms).entry()
        after = read_facts(board.link, trtexec=access.trtexec, python=access.python)
        report.device = device_entry(board, after, precision) | extra
        words = board.words
    report.latency = measured_latency(found)
    report.warnings = tuple(state_warnings(before, after, target))
    lines = _lines(asked, found, words, precision if target.tensorrt else None)
    if extra:
        lines.append(line("energy", _energy_words(extra)))
    return Answer(report, (*lines, *warnings(report)))


def _shapes(asked: Asked, target: Target) -> Shapes:
    """The open sizes, after the files were looked at. Raises CommandError, UnsupportedByTarget, DifferentInputs."""
    onnx = [file for file in asked.files if file.suffix not in SUFFIXES]
    if target.tensorrt is None and len(onnx) < len(asked.files):
        raise CommandError(f"engines must be measured on a target with TensorRT, got '{target.name}'")
    models = [read_onnx(file) for file in onnx]
    for file, model in zip(onnx, models, strict=True):
        require_known(file, model, target)
    if len(models) > 1:
        require_comparable(onnx, models)
    return fixed_sizes(models[0], asked.shapes) if models else {}


def device_entry(board: Board, facts: Facts, precision: Precision | None = None) -> Object:
    """The device as the report holds it: where, what, and in which state."""
    found: Object = {"address": str(board.link.address), "runs": board.words}
    if precision is not None:
        found["precision"] = precision
    return found | facts.as_object()  # type: ignore[return-value]


def state_warnings(before: Facts, after: Facts, target: Target) -> list[str]:
    """What about the device makes its latencies less than they could be."""
    found = []
    if after.throttled:
        found.append(f"the device is throttled by {', '.join(after.throttled)}: let it cool down")
    if after.clocks_fixed is False:
        found.append("the GPU's clock may move: run jetson_clocks on the device")
    for zone, degrees in after.heat_c.items():
        if degrees - before.heat_c.get(zone, degrees) > HOT_C:
            found.append(f"the device warmed up from {before.heat_c[zone]:.0f} to {degrees:.0f} °C ({zone})")
    silicon, mode = target.silicon, after.power_mode
    if silicon is not None and mode and mode.lower() not in {name.lower() for name in silicon.clock_mhz}:
        found.append(f"the device is in power mode {mode}, which '{target.name}' does not know")
    return found


def _lines(asked: Asked, found: "Timings", words: str, precision: str | None) -> list[str]:
    *lines, _ = measured_lines([str(f) for f in asked.files], found)
    how = f"{words}{f', {precision}' if precision else ''}, {found.clock} time"
    return [*lines, line("how", f"{how}, anchor drifted {found.drift_percent:+.1f} %")]


def _energy_words(found: Object) -> str:
    return (
        f"{found['energy_mj']:.3g} mJ an inference: {found['busy_w']:.2f} W less {found['idle_w']:.2f} W idle, "
        f"from {found['rail']}"
    )
