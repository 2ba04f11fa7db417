"""Read and check the header of a .safetensors file."""

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nascc.runtime.errors import CorruptFile, UnsafeFile

MAX_HEADER_BYTES = 100_000_000  # the limit of the format
CHECKPOINT_KEY = "nascc.checkpoint"
BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}


@dataclass(frozen=True)
class SafetensorsHeader:
    """What the header declares: free text by key, and the shape of every tensor."""

    metadata: dict[str, str]
    shapes: dict[str, tuple[int, ...]]


def looks_like_safetensors(head: bytes, size: int) -> bool:
    """An 8-byte length, then JSON."""
    return len(head) > 8 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= max(MAX_HEADER_BYTES, size)


def read_header(path: Path) -> SafetensorsHeader:
    """Read the header and check that the tensors it declares fill the file exactly.

    Raises CorruptFile when they do not, UnsafeFile when the header is larger than the format allows.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > size - 8:
            raise CorruptFile(f"'{path}' must hold its header of {length} bytes, found {size - 8}: truncated")
        if length > MAX_HEADER_BYTES:
            raise UnsafeFile(f"the header of '{path}' must be at most {MAX_HEADER_BYTES} bytes, declares {length}")
        text = file.read(length)
    try:
        fields = json.loads(text)
        metadata = {str(key): str(value) for key, value in (fields.pop("__metadata__", None) or {}).items()}
        shapes = {name: tuple(map(int, entry["shape"])) for name, entry in fields.items()}
        filled = _filled_bytes(fields)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CorruptFile(f"the header of '{path}' must describe tensors in JSON, but: {error}") from error
    if filled != size - 8 - length:
        raise CorruptFile(f"'{path}' must hold {filled} bytes of tensors, found {size - 8 - length}: truncated")
    return SafetensorsHeader(metadata, shapes)


def _filled_bytes(fields: dict[str, Any]) -> int:
    """Bytes that the declared tensors cover, one after the other. Raises ValueError when they overlap or do not fit."""
    end = 0
    for name, entry in sorted(fields.items(), key=lambda item: tuple(item[1]["data_offsets"])):
        begin, stop = entry["data_offsets"]
        if begin != end or stop < begin:
            raise ValueError(f"tensor '{name}' must begin at byte {end}, begins at {begin}")
        bits = BITS.get(entry["dtype"])
        if bits and math.prod(entry["shape"]) * bits != (stop - begin) * 8:
            raise ValueError(f"tensor '{name}' of shape {entry['shape']} does not fill its {stop - begin} bytes")
        end = stop
    return int(end)
