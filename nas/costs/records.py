"""Rows of a CSV or JSON file, and the complaints they give rise to."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from nascc.nas.errors import BadMeasurements

Record = Mapping[str, Any]


def read_records(path: Path, wanted: Sequence[str]) -> list[Record]:
    """The rows of a file that have the columns `wanted`: CSV with a header, or a JSON list of objects.

    Raises BadMeasurements.
    """
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadMeasurements(f"'{path}' must be a readable file of measurements, but: {error}") from error
    rows = _json(path, text) if path.suffix.lower() == ".json" else _csv(text)
    if not rows:
        raise BadMeasurements(f"'{path}' must hold measurements, found none")
    lacking = {name for row in rows for name in wanted if row.get(name) in (None, "")}
    if lacking:
        missing = [name for name in wanted if name in lacking]
        raise BadMeasurements(f"every row of '{path}' must have {', '.join(wanted)}; some have no {', '.join(missing)}")
    return rows


def number(value: object, least: float = 0.0) -> float | None:
    """A finite number of at least `least`; None for anything else."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) and found >= least and not isinstance(value, bool) else None


def complain(path: Path, problems: Sequence[str]) -> None:
    """Raise BadMeasurements with all problems in one sentence, or do nothing when there are none."""
    if problems:
        more = f" and {len(problems) - 8} more" if len(problems) > 8 else ""
        raise BadMeasurements(f"'{path}' must fit the search space, but {'; '.join(problems[:8])}{more}")


def _csv(text: str) -> list[Record]:
    lines = (line for line in StringIO(text) if not line.startswith("#"))
    rows = csv.DictReader(lines, skipinitialspace=True, restval="")
    return [{str(k).strip(): v.strip() if isinstance(v, str) else v for k, v in row.items()} for row in rows]


def _json(path: Path, text: str) -> list[Record]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise BadMeasurements(f"'{path}' must be JSON, but: {error}") from error
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise BadMeasurements(f"'{path}' must be a list of objects, one a measurement")
    return found
