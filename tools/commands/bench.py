"""`nascc bench`: how long ONNX files take, measured where that is possible, else estimated."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nascc.tools.device_options import Devices, Precisions
from nascc.tools.errors import CommandError
from nascc.tools.execution import Answer, execute
from nascc.tools.grouped import grouped
from nascc.tools.groups import Showing
from nascc.tools.options import TARGET, PowerMode, Seed, Shapes
from nascc.tools.progress import Say

if TYPE_CHECKING:
    from onnx import ModelProto

    from nascc.compiler.report import Report
    from nascc.runtime.profile import Target

FEWEST_ROUNDS = 5


@grouped
def bench(
    file: Annotated[
        Path, typer.Argument(help="An ONNX file, as `nascc fuse` makes one of a model; or an engine of `nascc build`.")
    ],
    vs: Annotated[Path | None, typer.Option("--vs", metavar="FILE", help="An ONNX file to compare it with.")] = None,
    target: Annotated[str, typer.Option("--target", help=TARGET)] = "cpu",
    power_mode: PowerMode = None,
    kernels: Annotated[bool, typer.Option("--kernels", help="List the kernels that FILE runs as.")] = False,
    shapes: Shapes = None,
    threads: Annotated[int, typer.Option(help="Threads that a measured file runs on.", min=1)] = 1,
    rounds: Annotated[
        int | None, typer.Option(help="Rounds of a measurement.  [50, on TensorRT 5]", min=FEWEST_ROUNDS)
    ] = None,
    energy: Annotated[
        bool, typer.Option("--energy", help="Also the energy of an inference, from the power rails of --device.")
    ] = False,
    seed: Seed = 0,
    *,
    devices: Devices,
    precisions: Precisions,
    showing: Showing,
) -> None:
    """Tell how long an ONNX file takes, measured or estimated.

    Files are measured in turns, with a fixed network among them that tells whether the machine stayed the same; the
    exit code is 7 when it did not. A single thread is timed by the processor time it takes. With --device they are
    measured there: by TensorRT, built there, or by the onnxruntime of its Python, as the --target says. Without, a
    figure for another target comes from its latency model, and says so.
    """
    files = [file] if vs is None else [file, vs]

    def work(say: Say) -> Answer:
        if devices.device:
            from nascc.tools.benched_there import Asked, bench_there

            asked = Asked(files, target, tuple(shapes or ()), threads, rounds, seed, energy)
            return bench_there(asked, devices.one(), precisions, say)
        if energy:
            raise CommandError("--energy must come with --device: power rails are read on a board")
        return Work(files, target, power_mode, kernels, tuple(shapes or ()), threads, rounds or 50, seed)(say)

    execute("bench", showing.reporting, work)


class Work:
    """One run of the command."""

    def __init__(
        self,
        files: Sequence[Path],
        target: str,
        power_mode: str | None,
        kernels: bool,
        shapes: Sequence[str],
        threads: int,
        rounds: int,
        seed: int,
    ) -> None:
        self.files, self.target, self.power_mode, self.kernels = files, target, power_mode, kernels
        self.shapes, self.threads, self.rounds, self.seed = shapes, threads, rounds, seed

    def __call__(self, say: Say) -> Answer:
        """Open, measure or estimate, and tell."""
        from nascc.compiler.provenance import input_file, new_report, target_entry
        from nascc.runtime.kernels_onnx import model_kernels
        from nascc.runtime.onnx_file import read_onnx
        from nascc.runtime.profile import load_target
        from nascc.tools.benched import kernel_entries, kernel_lines

        target, report = load_target(self.target), new_report("bench", seed=self.seed)
        report.target = target_entry(target, self.power_mode)
        say("open")
        models = [read_onnx(file) for file in self.files]
        report.inputs = tuple(input_file(file, "onnx") for file in self.files)
        sized = [self._runnable(file, model, target) for file, model in zip(self.files, models, strict=True)]
        require_comparable(self.files, sized)
        found = [model_kernels(model) for model in sized]
        if self.kernels:
            report.kernels = kernel_entries(found[0], target, self.power_mode)
        if target.software.runtime == "onnxruntime":
            lines = self._measure(report, say)
        else:
            lines = self._estimate(report, found, target, models)
        return Answer(report, (*lines, *(kernel_lines(report.kernels) if self.kernels else ())))

    def _runnable(self, file: Path, model: "ModelProto", target: "Target") -> "ModelProto":
        """The model with all its sizes. Raises UnsupportedByTarget for operators that nobody knows."""
        from nascc.runtime.onnx_shapes import with_sizes

        require_known(file, model, target)
        return with_sizes(model, fixed_sizes(model, self.shapes))

    def _measure(self, report: "Report", say: Say) -> list[str]:
        from nascc.compiler.errors import UnsupportedByTarget
        from nascc.runtime.errors import RunnerFailed
        from nascc.runtime.measure_onnx import measure_files
        from nascc.runtime.onnx_file import read_onnx
        from nascc.tools.benched import measured_latency, measured_lines
        from nascc.tools.render import warnings

        say("measure")
        shapes = fixed_sizes(read_onnx(self.files[0]), self.shapes)
        try:
            found = measure_files(self.files, shapes, rounds=self.rounds, threads=self.threads, seed=self.seed)
        except RunnerFailed as error:
            raise UnsupportedByTarget(f"cpu can not run what was given: {error}") from error
        report.latency = measured_latency(found)
        if found.was_busy:
            wall = found.timings[0].wall.median_ms
            report.warnings = (f"the machine was busy: by the wall clock '{self.files[0]}' took {wall:.3g} ms",)
        return [*measured_lines([str(f) for f in self.files], found), *warnings(report)]

    def _estimate(
        self, report: "Report", kernels: Sequence[Sequence[object]], target: "Target", models: "Sequence[ModelProto]"
    ) -> list[str]:
        from nascc.compiler.target_lint import blocking, check_target
        from nascc.runtime.latency import estimate
        from nascc.tools.benched import estimated_latency, estimated_lines
        from nascc.tools.render import warnings

        found = [estimate(each, target, self.power_mode) for each in kernels]  # type: ignore[arg-type]
        report.latency = estimated_latency(found, target)
        report.warnings = tuple(
            f"{target.name} can not run '{file}' as it is; see `nascc check {file} --target {self.target}`"
            for file, model in zip(self.files, models, strict=True)
            if blocking(check_target(model, target))
        )
        return [*estimated_lines([str(f) for f in self.files], found, target), *warnings(report)]


def fixed_sizes(model: "ModelProto", shapes: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The shapes given, of numbers alone; one without a name belongs to the first input."""
    from nascc.compiler.shapes import parse_shapes

    specs = [spec for spec in parse_shapes(shapes) if not spec.is_dynamic]
    names = [value.name for value in model.graph.input]
    unnamed = len(shapes) == 1 and ":" not in shapes[0] and names
    return {names[0] if unnamed else s.name: tuple(int(d) for d in s.dims) for s in specs}


def require_known(file: Path, model: "ModelProto", target: "Target") -> None:
    """Raise UnsupportedByTarget for operators of foreign domains, unless the file brings them along as functions."""
    from nascc.compiler.errors import UnsupportedByTarget

    domains = {"", "ai.onnx", *(["com.microsoft"] if target.software.runtime == "onnxruntime" else [])}
    brought = {(function.domain, function.name) for function in model.functions}
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    foreign = [n for n in nodes if n.domain not in domains and (n.domain, n.op_type) not in brought]
    if foreign:
        names = ", ".join(dict.fromkeys(f"{n.domain}::{n.op_type}" for n in foreign))
        raise UnsupportedByTarget(
            f"every operator of '{file}' must be one that {target.name} knows, found {names} "
            f"(first at node '{foreign[0].name or foreign[0].output[0]}'); export it without them"
        )


def require_comparable(files: Sequence[Path], models: "Sequence[ModelProto]") -> None:
    """Raise DifferentInputs unless all models take inputs of the same shapes and types."""
    from nascc.runtime.errors import DifferentInputs
    from nascc.runtime.onnx_shapes import shown

    taken = [
        [
            (v.type.tensor_type.elem_type, shown(v))
            for v in m.graph.input
            if v.name not in {t.name for t in m.graph.initializer}
        ]
        for m in models
    ]
    if any(other != taken[0] for other in taken[1:]):
        words = [f"'{f}' takes {', '.join(s for _, s in t)}" for f, t in zip(files, taken, strict=True)]
        raise DifferentInputs(f"files that are compared must take the same inputs, but {' and '.join(words)}")
