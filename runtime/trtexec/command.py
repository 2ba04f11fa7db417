"""Command lines of trtexec: build an engine, time it, profile its layers, run it; right for the version that runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nascc.runtime.errors import RuntimeTargetError
from nascc.runtime.trtexec.flags import Flags, flags_of
from nascc.runtime.trtexec.version import numbers

Precision = Literal["fp32", "fp16", "int8"]
TYPED_FROM = (11,)
"""From this version on every network is strongly typed: precisions are those of the graph."""
TIMES, PROFILE, LAYERS, OUTPUTS = "times.json", "profile.json", "layers.json", "outputs.json"


def is_typed(version: str) -> bool:
    """Do types come from the graph alone?"""
    return numbers(version) >= TYPED_FROM


@dataclass(frozen=True)
class Build:
    """What an engine is made of. `precision` is what the engine may use, `pinned` names layers that stay in fp32.

    `shapes` are those of inputs with open sizes; `workspace_mib` None leaves the limit to TensorRT.
    """

    onnx: str
    engine: str
    precision: Precision = "fp32"
    shapes: Mapping[str, Sequence[int]] | None = None
    pinned: Sequence[str] = ()
    workspace_mib: int | None = None
    timing_cache: str | None = None


def build_words(version: str, build: Build) -> list[str]:
    """The words after `trtexec` that build an engine, write what its layers are, and run nothing.

    Raises RuntimeTargetError where the version can not do what is wanted.
    """
    line = _Line(flags_of(version))
    line.add("--onnx", build.onnx)
    line.add("--saveEngine", build.engine)
    line.add(line.one_of("--skipInference", "--buildOnly"))
    for flag in _precision_flags(version, build.precision):
        line.add(flag)
    if build.pinned:
        _pin(line, version, build)
    if build.shapes:
        for kind in ("--minShapes", "--optShapes", "--maxShapes"):
            line.add(kind, _shapes(build.shapes))
    if build.workspace_mib is not None:
        pool = line.flags.has("--memPoolSize")
        line.add("--memPoolSize" if pool else "--workspace", f"{'workspace:' if pool else ''}{build.workspace_mib}")
    if build.timing_cache is not None:
        line.add("--timingCacheFile", build.timing_cache)
    line.add("--noTF32")  # a network in fp32 is one in fp32
    line.add("--profilingVerbosity", "detailed")
    line.add("--exportLayerInfo", LAYERS)
    return line.words


def _precision_flags(version: str, precision: Precision) -> tuple[str, ...]:
    """int8 comes as Q and DQ nodes of the graph; what is not quantised may be fp16."""
    if is_typed(version):
        return ()
    return {"fp32": (), "fp16": ("--fp16",), "int8": ("--int8", "--fp16")}[precision]


def _pin(line: "_Line", version: str, build: Build) -> None:
    if is_typed(version):
        raise RuntimeTargetError(
            f"layers are kept in fp32 through the graph from TensorRT 11 on, not by name: got {version}"
        )
    if not line.flags.has("--layerPrecisions"):
        raise RuntimeTargetError(
            f"trtexec of TensorRT {version} can not keep layers in fp32 by name (it can from 8.4 on); "
            f"build all of it in fp32, or accept the error of: {', '.join(build.pinned[:5])}"
        )
    if odd := [name for name in build.pinned if any(c in name for c in ",:'\"*")]:
        raise RuntimeTargetError(f"the name of a layer that is kept in fp32 must be plain for trtexec, got '{odd[0]}'")
    pairs = ",".join(f"{name}:fp32" for name in build.pinned)
    line.add("--precisionConstraints", "obey")
    line.add("--layerPrecisions", pairs)
    line.add("--layerOutputTypes", pairs)


def time_words(
    version: str,
    engine: str,
    shapes: Mapping[str, Sequence[int]] | None = None,
    *,
    warm_up_ms: int = 500,
    duration_s: int = 2,
    times: str = TIMES,
) -> list[str]:
    """The words that load an engine and take its times, without data transfers and without a CUDA graph."""
    line = _loaded(version, engine, shapes, warm_up_ms, duration_s)
    line.add("--exportTimes", times)
    return line.words


def profile_words(version: str, engine: str, shapes: Mapping[str, Sequence[int]] | None = None) -> list[str]:
    """The words that load an engine and take the time of each layer."""
    line = _loaded(version, engine, shapes, warm_up_ms=200, duration_s=1)
    line.add("--dumpProfile")
    line.add("--exportProfile", PROFILE)
    return line.words


def run_words(
    version: str, engine: str, inputs: Mapping[str, str], shapes: Mapping[str, Sequence[int]] | None = None
) -> list[str]:
    """The words that load an engine, run it on files of raw values, and write its outputs."""
    if odd := [name for pair in inputs.items() for name in pair if any(c in name for c in ",'")]:
        raise RuntimeTargetError(f"names of inputs must hold no comma and no quote for trtexec, got '{odd[0]}'")
    line = _Line(flags_of(version))
    line.add("--loadEngine", engine)
    if shapes:
        line.add("--shapes", _shapes(shapes))
    line.add("--loadInputs", ",".join(f"{name}:{path}" for name, path in inputs.items()))
    line.add("--exportOutput", OUTPUTS)
    if line.flags.has("--includeDataTransfers"):  # from 11 on inputs stay where they are without it
        line.add("--includeDataTransfers")
    for flag, value in (("--iterations", "1"), ("--warmUp", "0"), ("--duration", "0")):
        line.add(flag, value)
    return line.words


def _loaded(
    version: str, engine: str, shapes: Mapping[str, Sequence[int]] | None, warm_up_ms: int, duration_s: int
) -> "_Line":
    line = _Line(flags_of(version))
    line.add("--loadEngine", engine)
    if shapes:
        line.add("--shapes", _shapes(shapes))
    line.add("--warmUp", str(warm_up_ms))
    line.add("--duration", str(duration_s))
    line.add("--iterations", "20")
    # 11 leaves transfers out and waits actively by itself, but takes a CUDA graph
    for flag in ("--noDataTransfers", "--useSpinWait", "--separateProfileRun", "--noCudaGraph"):
        if line.flags.has(flag):
            line.add(flag)
    return line


def _shapes(shapes: Mapping[str, Sequence[int]]) -> str:
    return ",".join(f"{name}:{'x'.join(map(str, dims)) or 'scalar'}" for name, dims in shapes.items())


class _Line:
    """Words of a command line; a flag that the version lacks is an error of nascc, found here."""

    def __init__(self, flags: Flags) -> None:
        self.flags = flags
        self.words: list[str] = []

    def add(self, flag: str, value: str | None = None) -> None:
        word = flag if value is None else f"{flag}={value}"
        if not self.flags.has(flag) or self.flags.problems([word]):
            raise RuntimeTargetError(f"trtexec of TensorRT {self.flags.version} has no '{word}'")
        self.words.append(word)

    def one_of(self, *names: str) -> str:
        """The first of several flags that the version has."""
        found = self.flags.first(*names)
        if found is None:
            raise RuntimeTargetError(f"trtexec of TensorRT {self.flags.version} has none of {', '.join(names)}")
        return found
