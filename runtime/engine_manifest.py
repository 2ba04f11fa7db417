"""What an engine was made of, and where: it runs on no other GPU and no other TensorRT."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from nascc.runtime.digest import sha256
from nascc.runtime.errors import CorruptFile, UnreadableFile, WrongDevice
from nascc.runtime.remote.facts import Facts
from nascc.runtime.table import Precision, Table

SUFFIXES = (".engine", ".plan")


class EngineManifest(Table):
    """Lies beside an engine as `NAME.engine.json`. Digests are sha256; clocks are those when it was built, in MHz."""

    schema_id: Annotated[Literal["nascc.engine/1"], Field(alias="schema")] = "nascc.engine/1"
    engine_sha256: str
    onnx_sha256: str
    onnx: str
    target: str
    tensorrt: str
    device: str | None = None
    gpu: str | None = None
    driver: str | None = None
    precision: Precision
    pinned_fp32: Annotated[tuple[str, ...], Field(strict=False)] = ()
    shapes: Annotated[dict[str, list[int]], Field(default_factory=dict)]
    timing_cache_sha256: str | None = None
    power_mode: str | None = None
    gpu_mhz: Annotated[tuple[float, ...], Field(strict=False)] = ()
    layers: Annotated[dict[str, int], Field(default_factory=dict)]
    """How many layers compute in each type."""

    def write(self, engine: Path) -> Path:
        """Write it beside an engine; returns its path."""
        path = manifest_path(engine)
        part = path.with_name(path.name + ".part")
        part.write_text(self.model_dump_json(by_alias=True, indent=2) + "\n", "utf-8")
        part.replace(path)
        return path


def manifest_path(engine: Path) -> Path:
    """Where the manifest of an engine lies."""
    return engine.with_name(engine.name + ".json")


def read_manifest(engine: Path) -> EngineManifest:
    """The manifest beside an engine, checked against it. Raises UnreadableFile, CorruptFile, WrongDevice."""
    path = manifest_path(engine)
    if not (engine.is_file() and path.is_file()):
        missing = engine if not engine.is_file() else path
        raise UnreadableFile(f"an engine and its manifest must lie together, found no '{missing}'; build it again")
    try:
        manifest = EngineManifest.model_validate_json(path.read_text("utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise CorruptFile(f"'{path}' must be the manifest of an engine, but: {str(error).splitlines()[0]}") from error
    if (found := sha256(engine)) != manifest.engine_sha256:
        raise WrongDevice(
            f"'{engine}' must be the engine of its manifest, but its sha256 is {found[:12]}; build it again"
        )
    return manifest


def require_fit(manifest: EngineManifest, facts: Facts, engine: Path) -> None:
    """Raise WrongDevice unless the engine was built on such a device, with all that differs."""
    pairs = {
        "TensorRT": (manifest.tensorrt, facts.tensorrt),
        "GPU": (manifest.gpu, facts.gpu or manifest.gpu),  # a Jetson does not name it
        "device": (manifest.device, facts.model),
        "driver": (manifest.driver, facts.driver),
    }
    differ = [f"{what} {there} there, {own} here" for what, (own, there) in pairs.items() if own != there]
    if differ:
        raise WrongDevice(f"'{engine}' must run where it was built, but {'; '.join(differ)}; build it again there")


def clock_warnings(manifest: EngineManifest, facts: Facts) -> tuple[str, ...]:
    """What differs that an engine survives, but not its latency."""
    found = []
    if manifest.power_mode != facts.power_mode:
        found.append(f"the engine was built in power mode {manifest.power_mode}, the device is in {facts.power_mode}")
    if manifest.gpu_mhz[1:] != facts.gpu_mhz[1:]:
        found.append(f"the engine was built at GPU clocks of {manifest.gpu_mhz}, now they are {facts.gpu_mhz} MHz")
    return tuple(found)


def manifest_of(
    engine: Path,
    onnx: Path,
    facts: Facts,
    *,
    gpu: str | None = None,
    target: str,
    precision: Precision,
    pinned: Sequence[str] = (),
    shapes: Mapping[str, Sequence[int]] | None = None,
    timing_cache: Path | None = None,
    layers: Mapping[str, int] | None = None,
) -> EngineManifest:
    """The manifest of an engine that was just built from a file on a device."""
    return EngineManifest(
        engine_sha256=sha256(engine),
        onnx_sha256=sha256(onnx),
        onnx=onnx.name,
        target=target,
        tensorrt=facts.tensorrt or "unknown",
        device=facts.model,
        gpu=facts.gpu or gpu,
        driver=facts.driver,
        precision=precision,
        pinned_fp32=tuple(pinned),
        shapes={name: list(dims) for name, dims in (shapes or {}).items()},
        timing_cache_sha256=None if timing_cache is None else sha256(timing_cache),
        power_mode=facts.power_mode,
        gpu_mhz=facts.gpu_mhz,
        layers=dict(layers or {}),
    )
