"""Open an ONNX file without its weights, and look whether the files that hold them are there."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from nascc.runtime.errors import CorruptFile, UnreadableFile, UnsafeFile
from nascc.runtime.sniff import FileKind, sniff


def read_onnx(path: Path | str) -> ModelProto:
    """The model of an ONNX file; external weights stay where they are.

    Raises UnreadableFile (missing file, missing external data), CorruptFile (no ONNX, truncated, empty graph, external
    data too short) or UnsafeFile (external data outside the model's folder).
    """
    path = Path(path)
    if (kind := sniff(path)) is not FileKind.ONNX:
        raise CorruptFile(f"'{path}' must be an ONNX file, found {kind.value}; `nascc fuse` turns it into one")
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:  # protobuf has error classes of its own, one an implementation
        raise CorruptFile(f"'{path}' must be a whole ONNX file, but: {error}; export it again") from error
    if not model.graph.node:
        raise CorruptFile(f"'{path}' must hold a network, found a graph without nodes; export it again")
    _check_external_data(model, path)
    return model


def bodies(node: NodeProto) -> Iterator[GraphProto]:
    """The graphs that a node brings along: branches of an If, the body of a Loop."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def _check_external_data(model: ModelProto, path: Path) -> None:
    nodes = [node for function in model.functions for node in function.node]
    for tensor in [*_tensors(model.graph), *_tensors_of_nodes(nodes)]:
        if tensor.data_location == TensorProto.EXTERNAL:
            _check_place(tensor, path)


def _tensors(graph: GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _tensors_of_nodes(graph.node)


def _tensors_of_nodes(nodes: object) -> Iterator[TensorProto]:
    for node in nodes:  # type: ignore[attr-defined]
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
        for graph in bodies(node):
            yield from _tensors(graph)


def _check_place(tensor: TensorProto, path: Path) -> None:
    """Raise unless the bytes of an external tensor are where the model says."""
    place = {entry.key: entry.value for entry in tensor.external_data}
    name = place.get("location", "")
    parts = PurePosixPath(name.replace("\\", "/"))
    if not name or parts.is_absolute() or ".." in parts.parts:
        raise UnsafeFile(
            f"external data of '{path}' must lie in the model's folder, tensor '{tensor.name}' has '{name}'"
        )
    file = path.parent / name
    if not file.is_file():
        raise UnreadableFile(
            f"external data of '{path}' must be beside it, found no '{name}' for tensor '{tensor.name}'; "
            "copy it into the same folder"
        )
    try:
        end = int(place.get("offset", 0)) + int(place.get("length", 0))
    except ValueError as error:
        raise CorruptFile(f"external data of tensor '{tensor.name}' must have a number as offset and length") from error
    if end > file.stat().st_size:
        raise CorruptFile(
            f"'{file}' must hold {end} bytes for tensor '{tensor.name}', found {file.stat().st_size}; copy it again"
        )
