"""Where a report comes from: the tool, the host, and the digests of its files."""

import os
import platform
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

from nascc.compiler.report import SCHEMA, InputFile, Object, OutputFile, Report, TargetEntry, Tool
from nascc.runtime.digest import sha256
from nascc.runtime.profile import Target, ir_version_of

_PACKAGES = ("torch", "onnx", "onnx-ir", "onnxruntime", "numpy")


def new_report(command: str, *, seed: int | None = None) -> Report:
    """A report of a command that starts now."""
    return Report(
        schema_id=SCHEMA,
        tool=Tool(version=version_of("nascc") or "unknown"),
        command=command,
        started=datetime.now(timezone.utc),
        seed=seed,
        host=host(),
    )


def host() -> Object:
    """Python, the packages that matter, and the processor; nothing is imported to find out."""
    info: Object = {"python": platform.python_version(), "system": platform.platform(terse=True)}
    info |= {name.replace("-", "_"): found for name in _PACKAGES if (found := version_of(name))}
    return info | {"cpu": _processor(), "cpu_count": os.cpu_count() or 1}


def target_entry(target: Target, power_mode: str | None = None, opset: int | None = None) -> TargetEntry:
    """What a command works for; the target's own opset and power mode where none is given. Raises UnknownPowerMode."""
    written = opset or target.opset
    return TargetEntry(
        name=target.name,
        tensorrt=target.tensorrt,
        opset=written,
        ir_version=ir_version_of(written),
        power_mode=target.power_mode(power_mode),
    )


def version_of(package: str) -> str | None:
    """The version of an installed package, None when it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def input_file(path: Path, kind: str) -> InputFile:
    """The entry of a file that was read as `kind` (pt2, onnx, safetensors ...)."""
    return InputFile(path=str(path), sha256=sha256(path), format=kind)


def output_file(
    path: Path, *, opset: int | None = None, ir_version: int | None = None, precision: str | None = None
) -> OutputFile:
    """The entry of a file that was written; `bytes` does not count external data beside it."""
    return OutputFile(
        path=str(path),
        sha256=sha256(path),
        bytes=path.stat().st_size,
        opset=opset,
        ir_version=ir_version,
        precision=precision,
    )


def _processor() -> str:
    """The name of the processor as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
