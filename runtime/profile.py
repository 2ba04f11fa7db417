"""Target profiles: what a device's software can load, and what its silicon is."""

import difflib
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from nascc.runtime.errors import RuntimeTargetError, UnknownPowerMode, UnknownTarget
from nascc.runtime.latency_table import LatencyTable
from nascc.runtime.operator_table import OperatorTable, operator_table, schema_operators
from nascc.runtime.silicon import Silicon
from nascc.runtime.table import Precision, Table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_IR_OF_OPSET = {11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9}
OPSETS = tuple(_IR_OF_OPSET)


class Software(Table):
    """What runs on the device: `opset` is the newest that it imports.

    `tensorrt` brings its table of importable operators; `lacks` names ONNX operators that it has not all the same.
    """

    runtime: Literal["tensorrt", "onnxruntime", "torch"]
    tensorrt: Annotated[str, Field(pattern=r"^\d+(\.\d+)+$")] | None = None
    jetpack: str | None = None
    opset: Annotated[int, Field(ge=min(OPSETS), le=max(OPSETS))]
    ir_version: int
    precisions: Annotated[tuple[Precision, ...], Field(min_length=1, strict=False)]
    lacks: Annotated[tuple[str, ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _agree(self) -> "Software":
        if self.ir_version != _IR_OF_OPSET[self.opset]:
            raise ValueError(f"ir_version of opset {self.opset} must be {_IR_OF_OPSET[self.opset]}")
        if (self.runtime == "tensorrt") != (self.tensorrt is not None):
            raise ValueError("tensorrt must be given exactly when runtime is 'tensorrt'")
        if self.tensorrt is not None and self.opset > (newest := self._table(self.tensorrt).opset):
            raise ValueError(f"opset must be at most {newest}, the newest that TensorRT {self.tensorrt} imports")
        return self

    @staticmethod
    def _table(version: str) -> OperatorTable:
        try:
            return operator_table(version)
        except UnknownTarget as error:
            raise ValueError(str(error)) from error


class Target(Table):
    """A place where a compiled network runs."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
    title: str
    software: Software
    silicon: Silicon | None = None
    latency: LatencyTable | None = None

    @model_validator(mode="after")
    def _calibrated_mode_exists(self) -> "Target":
        mode = self.latency.power_mode if self.latency is not None else None
        if mode is not None and (self.silicon is None or mode not in self.silicon.clock_mhz):
            raise ValueError(f"latency.power_mode must be a mode of silicon.clock_mhz, got '{mode}'")
        return self

    @property
    def opset(self) -> int:
        """The newest opset the target imports."""
        return self.software.opset

    @property
    def ir_version(self) -> int:
        """The ONNX IR version that goes with `opset`."""
        return self.software.ir_version

    @property
    def tensorrt(self) -> str | None:
        """The version of TensorRT, None where there is none."""
        return self.software.tensorrt

    @property
    def jetpack(self) -> str | None:
        """The JetPack release, None off Jetson."""
        return self.software.jetpack

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions its runtime can build."""
        return self.software.precisions

    @property
    def operators(self) -> OperatorTable | None:
        """What its TensorRT imports, by the newest table at or below its version; None without TensorRT."""
        return None if self.tensorrt is None else operator_table(self.tensorrt)

    @property
    def label(self) -> str:
        """The target and what runs there, for a person: `nano (TensorRT 8.2.1)`."""
        return f"{self.name} ({self.runtime_words})"

    @property
    def runtime_words(self) -> str:
        """What runs a network there: `TensorRT 8.2.1`, `onnxruntime`."""
        return f"TensorRT {self.tensorrt}" if self.tensorrt else self.software.runtime

    @property
    def table_words(self) -> str | None:
        """Which operator table stands in where its version has none of its own; None where that is not so."""
        table = self.operators
        if table is None or self.tensorrt is None or table.is_exact_for(self.tensorrt):
            return None
        return f"operators as TensorRT {table.version} imports them, the newest table below {self.tensorrt}"

    def power_mode(self, name: str | None) -> str | None:
        """The power mode of a name in any case, the default one for None; None where the target has no modes.

        Raises UnknownPowerMode.
        """
        if self.silicon is not None:
            return self.silicon.mode(name)
        if name is not None:
            raise UnknownPowerMode(f"{self.name} has no power modes, got '{name}'")
        return None

    @property
    def lacks(self) -> tuple[str, ...]:
        """ONNX operators of its opset that the target can not import, sorted: those it says, those not in its table."""
        table = self.operators
        missing = schema_operators(self.opset) - set(table.operators) if table is not None else frozenset()
        return tuple(sorted(missing | set(self.software.lacks)))


def ir_version_of(opset: int) -> int:
    """The ONNX IR version written with an opset from 11 to 20."""
    if opset not in _IR_OF_OPSET:
        raise RuntimeTargetError(f"opset must be from {min(OPSETS)} to {max(OPSETS)}, got {opset}")
    return _IR_OF_OPSET[opset]


def target_names() -> tuple[str, ...]:
    """The names of the profiles that come with nascc, sorted."""
    files = resources.files("nascc.runtime.targets").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def load_target(name_or_path: str | Path) -> Target:
    """The profile of a name, or of a user's `.toml` file.

    Raises UnknownTarget with the near matches when there is none, and with every violation when it is malformed.
    """
    name = str(name_or_path)
    if name.endswith(".toml"):
        return _parsed(_text_of(Path(name)), name)
    if name not in target_names():
        raise UnknownTarget(
            f"target must be one of the profiles or a path to a .toml file, got '{name}'; {_near(name)}"
        )
    return _parsed((resources.files("nascc.runtime.targets") / f"{name}.toml").read_text("utf-8"), name)


def profile_text(name_or_path: str | Path) -> str:
    """The TOML of a profile, by name or path; it is checked first. Raises UnknownTarget."""
    load_target(name_or_path)
    name = str(name_or_path)
    if name.endswith(".toml"):
        return _text_of(Path(name))
    return (resources.files("nascc.runtime.targets") / f"{name}.toml").read_text("utf-8")


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnknownTarget(f"profile '{path}' must be a readable UTF-8 file, but: {error}") from error


def _parsed(text: str, origin: str) -> Target:
    try:
        return Target.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UnknownTarget(f"profile '{origin}' must be TOML, but: {error}") from error
    except ValidationError as error:
        found = "; ".join(_violations(error.errors()))
        raise UnknownTarget(f"profile '{origin}' must follow the schema of a target, but: {found}") from error


def _violations(errors: Sequence[Any]) -> list[str]:
    """One sentence an error; one that only follows from an error inside its value is left out."""
    places = [e["loc"] for e in errors]
    inner = [any(p != e["loc"] and p[: len(e["loc"])] == e["loc"] for p in places) for e in errors]
    return [
        f"{'.'.join(map(str, e['loc'])) or 'profile'}: {e['msg'].removeprefix('Value error, ').lower()}"
        for e, follows in zip(errors, inner, strict=True)
        if not follows
    ]


def _near(name: str) -> str:
    names = target_names()
    near = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    return f"did you mean {' or '.join(repr(n) for n in near)}?" if near else f"known are {', '.join(names)}"
