"""TensorRT on a device through its trtexec: build, take times, profile layers, run."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nascc.runtime.anchor import anchor_model
from nascc.runtime.digest import sha256
from nascc.runtime.engine_manifest import SUFFIXES, read_manifest, require_fit
from nascc.runtime.errors import BuildFailed, DeviceFailed, RunnerFailed, WrongDevice
from nascc.runtime.measure import Samples, Timings, steady
from nascc.runtime.measure_onnx import Shapes
from nascc.runtime.onnx_ends import input_specs, output_specs
from nascc.runtime.onnx_file import read_onnx
from nascc.runtime.profile import Target
from nascc.runtime.remote.facts import Facts
from nascc.runtime.remote.link import Completed, Link
from nascc.runtime.remote.models import put_model
from nascc.runtime.runners.base import Array, Runner
from nascc.runtime.trtexec.command import (
    LAYERS,
    OUTPUTS,
    PROFILE,
    TIMES,
    Build,
    Precision,
    build_words,
    is_typed,
    profile_words,
    run_words,
    time_words,
)
from nascc.runtime.trtexec.failures import failure_of
from nascc.runtime.trtexec.layers import Layer, LayerTime, parse_layers, parse_times
from nascc.runtime.trtexec.log import Log, parse_log
from nascc.runtime.trtexec.results import outputs, run_times
from nascc.runtime.trtexec.version import numbers

BUILD_S, RUN_S = 3600.0, 300.0
ROUNDS, VISIT_S = 5, 1
CACHE = "timing.cache"


@dataclass(frozen=True)
class Engine:
    """An engine on the device, in the folder of the link; `log` is None for one that was not built now."""

    file: str
    path: Path
    shapes: Mapping[str, tuple[int, ...]]
    layers: tuple[Layer, ...] = ()
    log: Log | None = None

    @property
    def types(self) -> dict[str, int]:
        """How many layers compute in each type; those that only move values are left out."""
        computing = [layer for layer in self.layers if not layer.moves_only]
        return dict(Counter(layer.precision or "unknown" for layer in computing))


class TensorRtBoard:
    """A device with TensorRT. Entering nothing: its link must be open. Engines are built once each, in `precision`.

    Raises DeviceFailed where trtexec is missing, WrongDevice where its TensorRT is not the one of the target.
    """

    def __init__(
        self,
        link: Link,
        facts: Facts,
        target: Target,
        *,
        precision: Precision = "fp16",
        pinned: Sequence[str] = (),
        workspace_mib: int | None = None,
    ) -> None:
        self.link, self.facts, self.target = link, facts, target
        self._precision, self._pinned, self._workspace_mib = precision, tuple(pinned), workspace_mib
        if facts.trtexec is None or facts.tensorrt is None:
            missing = "; ".join(facts.missing("tensorrt")) or "trtexec does not say its version"
            raise DeviceFailed(f"{link.address} must have trtexec of TensorRT, but: {missing}")
        self._program, self.version = facts.trtexec, facts.tensorrt
        require_version(facts, target)
        self.peak_mib: float | None = None
        """The most GPU memory that any log so far told of."""
        self._engines: dict[tuple[str, str, tuple[object, ...]], Engine] = {}

    @property
    def words(self) -> str:
        return f"TensorRT {self.version} on {self.link.address.host}"

    def engine(self, path: Path, shapes: Shapes | None = None, *, precision: Precision | None = None) -> Engine:
        """The engine of an ONNX file, built where it is not there yet; or a finished one whose manifest fits.

        Raises BuildFailed, DeviceFailed, WrongDevice, DeviceUnreachable.
        """
        if path.suffix in SUFFIXES:
            return self._loaded(path)
        wanted = precision or self._precision
        key = (sha256(path), wanted, tuple(sorted((shapes or {}).items())))
        if key not in self._engines:
            self._engines[key] = self._built(path, shapes or {}, wanted, f"engine-{key[0][:16]}-{wanted}")
        return self._engines[key]

    def _built(self, path: Path, shapes: Shapes, precision: Precision, folder: str) -> Engine:
        onnx = put_model(self.link, path, folder)
        file = f"{folder}/model.engine"
        given = dict(shapes)
        cache = CACHE if precision != "int8" else None
        pinned = () if precision == "fp32" else self._pinned
        build = Build(onnx, file, precision, given, pinned, self._workspace_mib, cache)
        log = self._trtexec(build_words(self.version, build), path.name, BUILD_S)
        layers = parse_layers(self.link.get(LAYERS).decode(errors="replace"))
        found = Engine(file, path, given, layers, log)
        require_precision(found, precision, self.version)
        return found

    def _loaded(self, path: Path) -> Engine:
        manifest = read_manifest(path)
        require_fit(manifest, self.facts, path)
        file = f"loaded-{manifest.engine_sha256[:16]}.engine"
        self.link.put(path, file)
        return Engine(file, path, {name: tuple(dims) for name, dims in manifest.shapes.items()})

    def fetch(self, engine: Engine) -> bytes:
        """The content of an engine."""
        return self.link.get(engine.file)

    def fetch_cache(self) -> bytes | None:
        """The timing cache of the builds so far, where one was written."""
        found = self.link.script(f"[ -s {CACHE} ]")
        return self.link.get(CACHE) if found.status == 0 else None

    def measure(
        self,
        paths: Sequence[Path],
        shapes: Shapes | None = None,
        *,
        rounds: int | None = None,
        threads: int = 1,
        seed: int = 0,
    ) -> Timings:
        """GPU compute times of files, in turns, around the anchor. `threads` and `seed` mean nothing to a GPU."""
        engines = [self._anchor(), *(self.engine(path, self._open_sizes(path, shapes)) for path in paths)]

        def take() -> Samples:
            order, samples = list(range(len(engines))), [list[list[tuple[float, float]]]() for _ in engines]
            for _ in range(rounds or ROUNDS):
                for index in order:
                    samples[index].append(self._times(engines[index]))
                order.reverse()
            return samples

        return steady(take, clock="GPU", threads=1)

    def _open_sizes(self, path: Path, shapes: Shapes | None) -> Shapes:
        """The shapes of inputs that have open sizes; trtexec wants no others."""
        if path.suffix in SUFFIXES or not shapes:
            return {}
        specs = {spec.name: spec for spec in input_specs(read_onnx(path))}
        return {n: s for n, s in shapes.items() if n in specs and any(isinstance(d, str) for d in specs[n].dims or ())}

    def _anchor(self) -> Engine:
        key = ("anchor", "fp32", ())
        if key not in self._engines:
            self.link.put_bytes(anchor_model().SerializeToString(), "anchor.onnx")
            words = build_words(self.version, Build("anchor.onnx", "anchor.engine", timing_cache=CACHE))
            self._trtexec(words, "the anchor", BUILD_S)
            self._engines[key] = Engine("anchor.engine", Path("anchor"), {})
        return self._engines[key]

    def _times(self, engine: Engine) -> list[tuple[float, float]]:
        words = time_words(self.version, engine.file, engine.shapes, duration_s=VISIT_S)
        self._trtexec(words, engine.path.name, RUN_S)
        # transfers are off, so latency says nothing that compute time does not
        return [(compute, compute) for compute, _ in run_times(self.link.get(TIMES).decode(errors="replace"))]

    def profile(self, engine: Engine) -> tuple[LayerTime, ...]:
        """The time of each layer."""
        self._trtexec(profile_words(self.version, engine.file, engine.shapes), engine.path.name, RUN_S)
        return parse_times(self.link.get(PROFILE).decode(errors="replace"))

    def run(self, engine: Engine, model: Path, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs of an engine of `model` on given inputs."""
        files = {}
        for index, (name, array) in enumerate(inputs.items()):
            files[name] = f"input-{index}.bin"
            self.link.put_bytes(np.ascontiguousarray(array).tobytes(), files[name])
        self._trtexec(run_words(self.version, engine.file, files, engine.shapes), model.name, RUN_S)
        return outputs(self.link.get(OUTPUTS).decode(errors="replace"), output_specs(read_onnx(model)))

    def runner(self, path: Path, shapes: Shapes | None = None) -> Runner:
        return TrtexecRunner(self, path, self._open_sizes(path, shapes))

    def forget(self) -> None:
        """Remove all engines but that of the anchor, and their models."""
        self._engines = {key: engine for key, engine in self._engines.items() if key[0] == "anchor"}
        self.link.remove("engine-")

    def busy(self, path: Path, shapes: Shapes, seconds: int) -> tuple[float, float]:
        """Run a file over and over; returns when that began and ended, by the clock of the device.

        trtexec loads the engine first: only what comes before its last `seconds` is not counted.
        """
        engine = self.engine(path, self._open_sizes(path, shapes))
        words = time_words(self.version, engine.file, engine.shapes, duration_s=seconds)
        self._trtexec(words, engine.path.name, RUN_S + seconds)
        ended = float(self.link.script("date +%s.%N").stdout)
        return ended - seconds, ended

    def _trtexec(self, words: Sequence[str], what: str, timeout_s: float) -> Log:
        ended: Completed = self.link.run([self._program, *words], timeout_s=timeout_s)
        text = f"{ended.stdout}\n{ended.stderr}"
        if (failure := failure_of(text, ended.status)) is not None:
            raise failure.error(what)
        log = parse_log(text)
        self.peak_mib = max((m for m in (self.peak_mib, log.gpu_memory_mib) if m is not None), default=None)
        return log


def require_version(facts: Facts, target: Target) -> None:
    """Raise WrongDevice where the device has another TensorRT than the target was checked against."""
    wanted = target.tensorrt
    if wanted is None or facts.tensorrt is None or numbers(wanted)[:2] == numbers(facts.tensorrt)[:2]:
        return
    raise WrongDevice(
        f"the device must have TensorRT {wanted} as '{target.name}' says, found {facts.tensorrt}; "
        "choose the profile that fits (`nascc targets`), or copy it to a .toml file and write that version there"
    )


def require_precision(engine: Engine, precision: Precision, version: str) -> None:
    """Raise BuildFailed where a typed graph became an engine of other types than were asked for."""
    types = engine.types
    if precision == "fp32" or not is_typed(version) or not types or set(types) == {"unknown"}:
        return
    if not types.get(precision):
        found = ", ".join(f"{count} in {name}" for name, count in types.items())
        raise BuildFailed(f"the engine of '{engine.path.name}' must compute in {precision}, but its layers do: {found}")


class TrtexecRunner(Runner):
    """An ONNX file as an engine on a device; outputs come with six digits, as trtexec writes them."""

    def __init__(self, board: TensorRtBoard, model: Path, shapes: Shapes) -> None:
        self.name = board.words
        self._board, self._model, self._shapes = board, model, shapes
        self._engine: Engine | None = None

    def _activate(self) -> None:
        model = read_onnx(self._model)
        self.inputs, self.outputs = input_specs(model), output_specs(model)
        self._engine = self._board.engine(self._model, self._shapes)

    def _deactivate(self) -> None:
        self._engine = None

    def _run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if self._engine is None:
            raise RunnerFailed(f"{self.name} must be active to run")
        return self._board.run(self._engine, self._model, inputs)
