"""Tables of measured latencies: the public ones that come with nascc, and a user's own."""

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from math import isfinite
from pathlib import Path

from nascc.runtime.descriptions import parse_descriptions
from nascc.runtime.errors import UnreadableFile, WrongMeasurements
from nascc.runtime.kernels import Kernel

ANCHORS, TORCH2TRT = "netspresso-trainer", "torch2trt"
"""Sources of the public tables; every source has an offset of its own."""
_ANCHOR_NETWORKS = {
    "ResNet50": "torchvision:resnet50/3",
    "MobileNetV3-large": "torchvision:mobilenet_v3_large/3",
    "MixNet-m": "timm:mixnet_m/3",
}
_TORCH2TRT_TARGETS = {"jetson_nano": "nano", "jetson_agx_xavier": "xavier"}
_SLOWEST_MS = 60_000.0


@dataclass(frozen=True)
class Row:
    """A network's latency in ms on a target, FP16, batch 1."""

    target: str
    network: str
    latency_ms: float
    source: str


def public_rows() -> tuple[Row, ...]:
    """The tables that come with nascc. Densenets are left out: TensorRT ran them in another version, or in place."""
    anchors = (
        Row(r["target"], _ANCHOR_NETWORKS[r["model"]], float(r["latency_ms"]), ANCHORS)
        for r in _table(_data("jetson_anchors_fp16.csv"))
    )
    torch2trt = (
        Row(_TORCH2TRT_TARGETS[r["device"]], f"torchvision:{r['model']}", float(r["trt_ms"]), TORCH2TRT)
        for r in _table(_data("jetson_torch2trt_fp16.csv"))
        if not r["model"].startswith("densenet")
    )
    return (*anchors, *torch2trt)


def public_networks() -> dict[str, tuple[Kernel, ...]]:
    """Kernels of the networks in `public_rows`, by name."""
    return parse_descriptions(_data("networks.json"), "networks.json")


def _data(name: str) -> str:
    return (resources.files("nascc.runtime.data") / name).read_text("utf-8")


def _table(text: str) -> Iterable[dict[str, str]]:
    return csv.DictReader(io.StringIO(text))


def read_measurements(path: str | Path) -> dict[str, float]:
    """`{model: ms}` of a user's CSV with the columns `model` and `latency_ms`.

    Raises UnreadableFile, or WrongMeasurements with every row that can not be used.
    """
    try:
        text = Path(path).read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFile(f"'{path}' must be a readable CSV file, but: {error}") from error
    rows = list(_table(text))
    _check_columns(rows, str(path))
    problems = [p for line, row in enumerate(rows, start=2) if (p := _problem(row, line))]
    names = [str(row["model"]).strip() for row in rows]
    problems += [f"'{name}' stands there twice" for name in dict.fromkeys(n for n in names if names.count(n) > 1)]
    if problems:
        raise WrongMeasurements(f"'{path}' must hold one latency in ms a model, but: {'; '.join(problems)}")
    return {name: float(row["latency_ms"]) for name, row in zip(names, rows, strict=True)}


def _check_columns(rows: list[dict[str, str]], path: str) -> None:
    if not rows:
        raise WrongMeasurements(f"'{path}' must have the columns model, latency_ms and at least one row, found none")
    columns = [c for c in rows[0] if c]
    if missing := {"model", "latency_ms"} - set(columns):
        other = next((c for c in columns if c.startswith("latency") or c in ("ms", "us", "s", "fps")), None)
        hint = (
            f"; convert '{other}' to milliseconds and call it latency_ms" if other and "latency_ms" in missing else ""
        )
        raise WrongMeasurements(
            f"'{path}' must have the columns model and latency_ms, found {', '.join(columns) or 'none'}{hint}"
        )


def _problem(row: Mapping[str, str | None], line: int) -> str | None:
    if not (row["model"] or "").strip():
        return f"line {line} names no model"
    try:
        value = float(row["latency_ms"] or "")
    except ValueError:
        return f"line {line} has latency_ms '{row['latency_ms']}', which is no number"
    if not isfinite(value) or not 0 < value <= _SLOWEST_MS:
        return f"line {line} has latency_ms {value:g}, must be above 0 and at most {_SLOWEST_MS:g}; is it milliseconds?"
    return None
