"""Recognise an ONNX file by walking the top-level fields of its protocol buffer."""

from collections.abc import Iterator
from enum import Enum

IR_VERSION, GRAPH, OPSET_IMPORT = 1, 7, 8
MODEL_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}  # number -> wire type


class OnnxVerdict(Enum):
    """What the bytes are: no ONNX file, a whole one, or the beginning of one."""

    NO = "no"
    WHOLE = "whole"
    TRUNCATED = "truncated"


def look_for_onnx(data: bytes | memoryview) -> OnnxVerdict:
    """Walk the fields of `data`, which may be mapped memory: their contents are skipped, not read."""
    seen: list[int] = []
    whole = True
    for number, wire, inside in _fields(data):
        whole = inside and MODEL_FIELDS.get(number) == wire
        if not whole:
            break
        seen.append(number)
    if IR_VERSION not in seen or len(seen) < 2:
        return OnnxVerdict.NO
    return OnnxVerdict.WHOLE if whole and {GRAPH, OPSET_IMPORT} <= set(seen) else OnnxVerdict.TRUNCATED


def _fields(data: bytes | memoryview) -> Iterator[tuple[int, int, bool]]:
    """(field number, wire type, whether it ends inside the data) of each top-level field."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        length, at = _varint(data, at) if wire in (0, 2) else ({1: 8, 5: 4}.get(wire, len(data)), at)
        at += 0 if wire == 0 else length
        yield tag >> 3, wire, at <= len(data)


def _varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    """The value at `at` and where it ends; a value that does not end stands beyond the data."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            return 0, len(data) + 1
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
    return 0, len(data) + 1
