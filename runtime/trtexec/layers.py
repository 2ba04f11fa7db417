"""Layers of an engine: their types, from layer information, and their times, from a profile; JSON or log."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TYPES = (
    ("int8", re.compile(r"int8", re.IGNORECASE)),
    ("fp8", re.compile(r"fp8|float8", re.IGNORECASE)),
    ("bf16", re.compile(r"bf16|bfloat16", re.IGNORECASE)),
    ("fp16", re.compile(r"fp16|half|float16", re.IGNORECASE)),
    ("fp32", re.compile(r"fp32|float32|float\b|^float$", re.IGNORECASE)),
    ("int32", re.compile(r"int32", re.IGNORECASE)),
    ("int64", re.compile(r"int64", re.IGNORECASE)),
    ("bool", re.compile(r"bool", re.IGNORECASE)),
)
_REFORMAT = re.compile(r"reformat|copynode|^noop$|constant|^shape", re.IGNORECASE)
_LAYER = re.compile(r"Layer\(([^)]+)\):\s*(.+?),\s*Tactic:\s*([^,]+?),\s*(.*?)\s*->\s*(.*)$")
_COLUMN = re.compile(r"Layer|Avg\.? ?(?:Time )?\(ms\)|Median ?(?:Time )?\(ms\)|Time ?\(ms\)|Time ?\(?%\)?")
_TENSOR = re.compile(r"\[([A-Za-z]\w*)[ (\[:]")


@dataclass(frozen=True)
class Layer:
    """A layer: its name, kind, and the types of what it reads and writes ("fp16"); empty where nothing says them."""

    name: str
    kind: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    weights: str | None = None

    @property
    def precision(self) -> str | None:
        """What it computes in: the type of its weights, else of what it reads, the narrowest; None where unknown."""
        if self.weights is not None:
            return self.weights
        order = ["int8", "fp8", "fp16", "bf16", "fp32"]
        found = [t for t in (*self.reads, *self.writes) if t in order]
        return min(found, key=order.index) if found else None

    @property
    def moves_only(self) -> bool:
        """Does it only bring values into another form?"""
        return bool(_REFORMAT.search(self.kind) or _REFORMAT.search(self.name.split(" ")[0]))


@dataclass(frozen=True)
class LayerTime:
    """Milliseconds of a layer in a run, on average and in the median where that is told, and its share."""

    name: str
    mean_ms: float
    median_ms: float | None
    percent: float


def parse_layers(text: str) -> tuple[Layer, ...]:
    """The layers of a file of `--exportLayerInfo`, or of a verbose log; files that were cut give what they hold."""
    found = loads(text)
    if isinstance(found, Mapping):
        found = found.get("Layers", found.get("layers", []))
    if isinstance(found, Sequence) and not isinstance(found, str):
        return tuple(_layer(entry) for entry in found if entry)
    return tuple(_logged(text))


def _layer(entry: Any) -> Layer:
    """Detailed layers are objects, others names."""
    if not isinstance(entry, Mapping):
        return Layer(str(entry), "", (), ())
    weights = entry.get("Weights")
    kind = str(entry.get("LayerType") or entry.get("ParameterType") or "")
    typed = type_of(str(weights.get("Type", ""))) if isinstance(weights, Mapping) else None
    return Layer(str(entry.get("Name", "")), kind, _types(entry.get("Inputs")), _types(entry.get("Outputs")), typed)


def _types(tensors: Any) -> tuple[str, ...]:
    if not isinstance(tensors, Sequence):
        return ()
    keys = ("DataType", "Datatype", "Format/Datatype", "Format")
    said = [str(next((t[k] for k in keys if k in t), "")) for t in tensors if isinstance(t, Mapping)]
    return tuple(found for text in said if (found := type_of(text)) is not None)


def type_of(text: str) -> str | None:
    """'Row major linear FP16 format', 'Half' or 'Channel major FP16 ...' -> 'fp16'."""
    return next((name for name, pattern in _TYPES if pattern.search(text)), None)


def _logged(text: str) -> Iterator[Layer]:
    """Layers as a verbose log lists them: `Layer(CaskConvolution): name, Tactic: 0x1, x[Half(1,3)] -> y[Half(1,3)]`."""
    for line in text.splitlines():
        if (found := _LAYER.search(line)) is not None:
            kind, name, _, reads, writes = found.groups()
            yield Layer(name.strip(), kind, _logged_types(reads), _logged_types(writes))


def _logged_types(tensors: str) -> tuple[str, ...]:
    return tuple(found for word in _TENSOR.findall(tensors) if (found := type_of(word)) is not None)


def parse_times(text: str) -> tuple[LayerTime, ...]:
    """Times of layers from a file of `--exportProfile`, or from the table of a log with `--dumpProfile`."""
    found = loads(text)
    if isinstance(found, list):
        return tuple(_time(entry) for entry in found if isinstance(entry, Mapping) and "name" in entry)
    return tuple(_table(text))


def _time(entry: Mapping[str, Any]) -> LayerTime:
    median = entry.get("medianMs")
    percent = float(entry.get("percentage", 0.0))
    return LayerTime(str(entry["name"]), float(entry.get("averageMs", 0.0)), _maybe(median), percent)


def _maybe(value: Any) -> float | None:
    return None if value is None else float(value)


def _table(text: str) -> Iterator[LayerTime]:
    """Names stood at the left up to 8.5, and stand at the right since; the last row is the total."""
    columns: list[str] = []
    for line in text.replace("\r", "").splitlines():
        body = re.sub(r"^\s*(?:\[[^\]]*\]\s*)?\[[VIWEF]\]\s?(?:\[TRT\]\s?)?", "", line)
        if re.search(r"Time\s?\(ms\).*Avg", body):
            columns = re.findall(
                r"Layer|Time\s?\(ms\)|Avg\.? ?(?:Time )?\(ms\)|Median ?(?:Time )?\(ms\)|Time ?\(?%\)?", body
            )
        elif columns and (row := _row(body, columns)) is not None:
            if row.name.lower() == "total":
                return
            yield row
        elif columns and body.startswith("==="):
            columns = []


def _row(body: str, columns: Sequence[str]) -> LayerTime | None:
    count = len(columns) - 1
    number = r"(\d+(?:\.\d+)?(?:e[+-]?\d+)?)%?"
    left = columns[0] == "Layer"
    spaced = r"\s+".join([number] * count)
    found = re.match(rf"\s*(.*?)\s+{spaced}\s*$" if left else rf"\s*{spaced}\s+(\S.*?)\s*$", body)
    if found is None:
        return None
    groups = list(found.groups())
    name = groups.pop(0 if left else -1).strip()
    values = dict(zip((c for c in columns if c != "Layer"), map(float, groups), strict=True))
    median = next((v for c, v in values.items() if c.startswith("Median")), None)
    mean = next((v for c, v in values.items() if c.startswith("Avg")), 0.0)
    return LayerTime(name, mean, median, next((v for c, v in values.items() if "%" in c), 0.0))


def loads(text: str) -> Any:
    """The value of a JSON text that a C++ program wrote: nan, -nan and inf are numbers there; None for what is none.

    Of a list or an object of a list that was cut short, what is whole.
    """
    plain = re.sub(r"(?<=[\[,:\s])-?nan(?:\([^)]*\))?(?=[\],}\s])", "NaN", text)
    plain = re.sub(r"(?<=[\[,:\s])(-?)inf(?:inity)?(?=[\],}\s])", r"\1Infinity", plain)
    try:
        return json.loads(plain)
    except ValueError:
        return _rescued(plain)


def _rescued(text: str) -> Any:
    start = text.find("[")
    if not re.match(r"\s*(\[\s*[\[{\"]|\{\s*\")", text) or start < 0:  # a line of a log begins with a bracket, too
        return None
    decoder, position = json.JSONDecoder(), start + 1
    found: list[Any] = []
    while True:
        match = re.compile(r"[\s,]*").match(text, position)
        position = match.end() if match else position
        try:
            value, position = decoder.raw_decode(text, position)
        except ValueError:
            return found or None
        found.append(value)
