"""Write an ONNX model to a file, with the weights beside it where one file can not hold them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from google.protobuf.message import Message
from onnx import GraphProto, ModelProto, StringStringEntryProto, TensorProto

LIMIT_BYTES = (1 << 31) - (1 << 20)
"""A protobuf message must stay below 2 GiB; a margin is left for what is not weights."""
ALIGNMENT = 4096
SMALLEST_EXTERNAL = 1024


def to_bytes(model: ModelProto) -> bytes:
    """The model as one message, at most 2 GiB; much faster for large weights than protobuf's own serialiser."""
    return b"".join(_pieces(model))


def write_onnx(
    model: ModelProto, path: str | os.PathLike[str], *, data_name: str | None = None, limit: int = LIMIT_BYTES
) -> tuple[Path, ...]:
    """Write the model; when its weights exceed `limit` bytes, they go to a second file in the same folder.

    The model refers to that file as `data_name`, by default the file's own name with `.data` after it. A caller that
    writes under a temporary name passes the final one and renames both. Returns the files written.
    """
    path = Path(path)
    if sum(len(t.raw_data) for t in model.graph.initializer) <= limit:
        with path.open("wb") as file:
            file.writelines(_pieces(model))
        return (path,)
    data = path.with_name(path.name + ".data")
    slim = _with_external_data(model, data, data_name or data.name)
    path.write_bytes(slim.SerializeToString(deterministic=True))
    return path, data


def _pieces(model: ModelProto) -> Iterator[bytes]:
    """The wire format in pieces: all fields, then the graph, whose tensors come last, each with its content last."""
    head, graph = ModelProto(), GraphProto()
    _copy_but(model, head, "graph")
    _copy_but(model.graph, graph, "initializer")
    body = graph.SerializeToString(deterministic=True)
    tensors = [_tensor_pieces(tensor) for tensor in model.graph.initializer]
    size = len(body) + sum(len(part) for parts in tensors for part in parts)
    yield head.SerializeToString(deterministic=True)
    yield _prefix(ModelProto.GRAPH_FIELD_NUMBER, size)
    yield body
    for parts in tensors:
        yield from parts


def _tensor_pieces(tensor: TensorProto) -> tuple[bytes, bytes, bytes, bytes]:
    head = TensorProto()
    _copy_but(tensor, head, "raw_data")
    start, raw = head.SerializeToString(deterministic=True), tensor.raw_data
    middle = _prefix(TensorProto.RAW_DATA_FIELD_NUMBER, len(raw)) if tensor.HasField("raw_data") else b""
    return _prefix(GraphProto.INITIALIZER_FIELD_NUMBER, len(start) + len(middle) + len(raw)), start, middle, raw


def _prefix(field: int, length: int) -> bytes:
    """Tag and length of a length-delimited field."""
    return _varint(field << 3 | 2) + _varint(length)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _with_external_data(model: ModelProto, data: Path, location: str) -> ModelProto:
    """A copy of the model whose large tensors are written to `data`."""
    slim = ModelProto()
    _copy_but(model, slim, "graph")
    _copy_but(model.graph, slim.graph, "initializer")
    with data.open("wb") as file:
        for tensor in model.graph.initializer:
            kept = slim.graph.initializer.add()
            if len(tensor.raw_data) < SMALLEST_EXTERNAL:
                kept.CopyFrom(tensor)
            else:
                _move(tensor, kept, file, location)
    return slim


def _copy_but(source: Message, target: Message, skipped: str) -> None:
    """Copy every field that is set, except one."""
    for field, value in source.ListFields():
        if field.name == skipped:
            continue
        if isinstance(value, Message):
            getattr(target, field.name).CopyFrom(value)
        elif isinstance(value, (str, bytes, int, float)):
            setattr(target, field.name, value)
        else:
            getattr(target, field.name).extend(value)


def _move(tensor: TensorProto, kept: TensorProto, file: BinaryIO, location: str) -> None:
    """Append the content of a tensor to the file, on a page boundary, and refer to it."""
    _copy_but(tensor, kept, "raw_data")
    file.write(bytes(-file.tell() % ALIGNMENT))
    place = {"location": location, "offset": str(file.tell()), "length": str(len(tensor.raw_data))}
    kept.data_location = TensorProto.EXTERNAL
    kept.external_data.extend(StringStringEntryProto(key=k, value=v) for k, v in place.items())
    file.write(tensor.raw_data)
