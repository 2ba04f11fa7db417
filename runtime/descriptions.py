"""Kernels of networks as a small JSON file, so that a model of latency is fitted without any network at hand."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from nascc.runtime.errors import CorruptFile, UnreadableFile
from nascc.runtime.kernels import Kernel, condense

FIELDS = ("kind", "macs", "read", "written", "weights", "reduction", "count", "channels_in", "channels_out", "gated")
"""What is kept of a kernel; all but the kind are counts, and gated is 0 or 1."""


def descriptions_json(networks: Mapping[str, Iterable[Kernel]]) -> str:
    """`{name: [[kind, macs, read, written, weights, reduction, count], ...]}`, a line a network, sorted."""
    lines = (f"{json.dumps(name)}: {json.dumps(_rows(networks[name]))}" for name in sorted(networks))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _rows(kernels: Iterable[Kernel]) -> list[list[str | int]]:
    return [[kernel.kind, *(int(getattr(kernel, field)) for field in FIELDS[1:])] for kernel in condense(kernels)]


def read_descriptions(path: str | Path) -> dict[str, tuple[Kernel, ...]]:
    """The networks of a file. Raises UnreadableFile or CorruptFile."""
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise UnreadableFile(f"'{path}' must be a readable file of kernel descriptions, but: {error}") from error
    return parse_descriptions(text, str(path))


def parse_descriptions(text: str, origin: str) -> dict[str, tuple[Kernel, ...]]:
    """The networks of a text. Raises CorruptFile where it is not what `descriptions_json` writes."""
    try:
        found = json.loads(text)
        return {str(name): tuple(_kernel(*row) for row in rows) for name, rows in found.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise CorruptFile(f"'{origin}' must hold kernel descriptions, but: {error}") from error


def _kernel(
    kind: str,
    macs: int,
    read: int,
    written: int,
    weights: int,
    reduction: int,
    count: int,
    channels_in: int = 0,
    channels_out: int = 0,
    gated: int = 0,
) -> Kernel:
    return Kernel("", kind, macs, read, written, weights, reduction, (), count, channels_in, channels_out, bool(gated))
