"""Derive what each version of TensorRT imports from onnx-tensorrt's operator tables.

Run it from a checkout: `python -m nascc.tools.bench.operator_tables` prints how the versions differ; `--write` puts
the result into the file that the profiles read.
"""

import argparse
import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "runtime" / "data"
SOURCE, TYPES = DATA / "tensorrt_onnx_operators.csv", DATA / "tensorrt_onnx_types.csv"
RESULT = DATA / "tensorrt_importable.json"
OLDEST_OPSET = 11
"""Versions that import no opset that nascc writes are left out."""
STATEMENT = "#max_opset_statement"

Tables = dict[str, dict[str, object]]


def derive(source: Path = SOURCE, types: Path = TYPES) -> Tables:
    """For each version, oldest first: the newest opset, and the importable operators with their types.

    A blank cell means that the parser does not know the operator, so it counts as not importable.
    """
    with source.open(newline="", encoding="utf-8") as file:
        statement, *rows = csv.DictReader(file)
    columns = {_version(column): column for column in statement if column != "onnx_op"}
    opsets = {version: _newest_opset(statement[column]) for version, column in columns.items()}
    typed = _types(types)
    return {
        version: {
            "opset": opsets[version],
            "operators": {
                row["onnx_op"]: " ".join(_types_at(typed.get(row["onnx_op"], []), version))
                for row in sorted(rows, key=lambda row: row["onnx_op"])
                if row[column] == "Y"
            },
        }
        for version, column in sorted(columns.items(), key=lambda item: _numbers(item[0]))
        if opsets[version] >= OLDEST_OPSET
    }


def tables_json(tables: Tables) -> str:
    """The tables as the file that nascc ships, one operator a line."""
    return json.dumps(tables, indent=1) + "\n"


def _version(column: str) -> str:
    """`trt_8.2-GA` -> `8.2`, `trt_7.2.1` -> `7.2`."""
    found = re.match(r"trt_(\d+\.\d+)", column)
    if found is None:
        raise ValueError(f"columns of the operator table must be named trt_<version>, found '{column}'")
    return found[1]


def _newest_opset(statement: str) -> int:
    return max(int(number) for number in re.findall(r"[Oo]pset (\d+)", statement))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _types(path: Path) -> dict[str, list[tuple[str, list[str]]]]:
    """Types of each operator by the version they hold from, oldest first."""
    found: dict[str, list[tuple[str, list[str]]]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["onnx_op"], []).append((row["since"], row["types"].split()))
    return {name: sorted(known, key=lambda item: _numbers(item[0])) for name, known in found.items()}


def _types_at(known: Sequence[tuple[str, list[str]]], version: str) -> list[str]:
    """The types that hold at a version: the newest statement at or below it, none where there is none."""
    return next((types for since, types in reversed(known) if _numbers(since) <= _numbers(version)), [])


def differences(tables: Tables) -> list[str]:
    """What each version imports that the one before did not, and the other way round."""
    lines, before = [], None
    for version, table in tables.items():
        operators = table["operators"]
        assert isinstance(operators, dict)
        now = set(operators)
        head = f"TensorRT {version:<5} opset {table['opset']:<3} {len(now)} operators"
        if before is not None:
            changes = [f"+{name}" for name in sorted(now - before)] + [f"-{name}" for name in sorted(before - now)]
            head += f"  {' '.join(changes)}"
        lines.append(head.rstrip())
        before = now
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the tables that the profiles read")
    given = parser.parse_args(arguments)
    tables = derive()
    print("\n".join(differences(tables)))
    if given.write:
        RESULT.write_text(tables_json(tables), "utf-8")


if __name__ == "__main__":
    main()
