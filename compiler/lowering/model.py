"""From a drawn graph to an ONNX model: dead operators dropped, constants stored once, everything named."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from onnx import ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorShapeProto, ValueInfoProto

from nascc.compiler.lowering.constants import Constants
from nascc.compiler.lowering.dtypes import onnx_type
from nascc.compiler.lowering.names import Names, node_name
from nascc.compiler.lowering.protos import attribute
from nascc.compiler.lowering.values import Dim, Drawn, Op, Origin, Value

SOURCES = "nascc.sources"
"""Key of the model metadata: JSON from node name to the module paths the node stands for, where these are several."""

Letters = Mapping[str, str]


def build_model(drawn: Drawn, *, opset: int, ir_version: int, name: str, letters: Letters) -> ModelProto:
    """The ONNX model of a drawn graph; `letters` renames the symbols of dynamic sizes."""
    model = ModelProto(ir_version=ir_version, producer_name="nascc", producer_version=_version())
    model.opset_import.append(OperatorSetIdProto(domain="", version=opset))
    graph = model.graph
    graph.name = name
    outputs, copies = _distinct(drawn.outputs)
    ops = _live(drawn.ops, drawn.outputs) + copies
    taken = [v.name for v in drawn.inputs] + list(drawn.output_names)
    constants = Constants(Names(taken))
    node_names = _name_results(ops, dict(zip(outputs, drawn.output_names, strict=True)), constants.names)
    graph.node.extend(_node(op, node_names[op], constants) for op in ops)
    graph.initializer.extend(constants.tensors)
    graph.input.extend(_info(v, v.name, letters) for v in drawn.inputs)
    graph.output.extend(_info(v, name, letters) for v, name in zip(outputs, drawn.output_names, strict=True))
    sources = {node_names[op]: list(op.origin.sources) for op in ops if len(op.origin.sources) > 1}
    if sources:
        model.metadata_props.append(StringStringEntryProto(key=SOURCES, value=json.dumps(sources)))
    return model


def _live(ops: Sequence[Op], outputs: Sequence[Value]) -> list[Op]:
    """The operators some output depends on."""
    needed = set(outputs)
    kept = []
    for op in reversed(ops):
        if any(v in needed for v in op.outputs):
            needed.update(v for v in op.inputs if v is not None)
            kept.append(op)
    return kept[::-1]


def _distinct(outputs: Sequence[Value]) -> tuple[list[Value], list[Op]]:
    """Graph outputs with a result of its own for each that is an input, a constant, or given twice; and the copies."""
    results: list[Value] = []
    copies: list[Op] = []
    for value in outputs:
        if value.op is None or value in results:
            copies.append(Op("Identity", (value,), {}, Origin()))
            value = Value(value.dtype, value.shape, copies[-1])
            copies[-1].outputs = (value,)
        results.append(value)
    return results, copies


def _name_results(ops: Sequence[Op], given: Mapping[Value, str], names: Names) -> dict[Op, str]:
    """Name every operator, and its results after it, where no name is given; returns the operators' names."""
    nodes, found = Names(()), {}
    for op in ops:
        found[op] = nodes.unique(node_name(op.kind, op.origin.module))
        for i, value in enumerate(op.outputs):
            wanted = found[op] if len(op.outputs) == 1 else f"{found[op]}.{i}"
            value.name = given.get(value) or names.unique(wanted)
    return found


def _node(op: Op, name: str, constants: Constants) -> NodeProto:
    inputs = ["" if v is None else constants.name_of(v) if v.tensor is not None else v.name for v in op.inputs]
    node = NodeProto(op_type=op.kind, name=name, input=inputs, output=[v.name for v in op.outputs])
    node.attribute.extend(attribute(key, value) for key, value in sorted(op.attributes.items()))
    return node


def _info(value: Value, name: str, letters: Letters) -> ValueInfoProto:
    info = ValueInfoProto(name=name)
    info.type.tensor_type.elem_type = onnx_type(value.dtype)
    info.type.tensor_type.shape.CopyFrom(TensorShapeProto(dim=[_dimension(d, letters) for d in value.shape]))
    return info


def _dimension(dim: Dim, letters: Letters) -> TensorShapeProto.Dimension:
    if isinstance(dim, int):
        return TensorShapeProto.Dimension(dim_value=dim)
    return TensorShapeProto.Dimension(dim_param=re.sub(r"\w+", lambda word: letters.get(word[0], word[0]), dim))


@cache
def _version() -> str:
    try:
        return version("nascc")
    except PackageNotFoundError:
        return ""
