"""Which ONNX operators each version of TensorRT imports, and of which types."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from nascc.runtime.errors import UnknownTarget


@dataclass(frozen=True)
class OperatorTable:
    """What one version of TensorRT imports.

    `operators` gives the number types of each importable operator as the maker writes them ("FP32", "INT32", "BOOL");
    no types where the maker names none. `opset` is the newest that is imported.
    """

    version: str
    opset: int
    operators: Mapping[str, frozenset[str]]

    def is_exact_for(self, version: str) -> bool:
        """Whether the table was made for this version: patch levels of one minor version count as one."""
        return _numbers(version)[:2] == _numbers(self.version)


@cache
def operator_tables() -> tuple[OperatorTable, ...]:
    """Every table that comes with nascc, oldest first."""
    text = (resources.files("nascc.runtime.data") / "tensorrt_importable.json").read_text("utf-8")
    return tuple(
        OperatorTable(
            version, found["opset"], {op: frozenset(types.split()) for op, types in found["operators"].items()}
        )
        for version, found in json.loads(text).items()
    )


def operator_table(version: str) -> OperatorTable:
    """The newest table at or below a version of TensorRT ("8.2.1"). Raises UnknownTarget for versions before all."""
    tables = operator_tables()
    below = [table for table in tables if _numbers(table.version) <= _numbers(version)]
    if not below:
        raise UnknownTarget(f"tensorrt must be at least {tables[0].version}, the oldest known, got '{version}'")
    return below[-1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))[:2]


@cache
def schema_operators(opset: int) -> frozenset[str]:
    """The operators of ONNX's default domain at an opset, deprecated ones left out."""
    from onnx import defs

    newest: dict[str, defs.OpSchema] = {}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "" and schema.since_version <= opset:
            known = newest.get(schema.name)
            if known is None or known.since_version < schema.since_version:
                newest[schema.name] = schema
    return frozenset(name for name, schema in newest.items() if not schema.deprecated)
