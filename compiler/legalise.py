"""Move an ONNX model to an older opset: attributes become inputs and back, nothing is computed in another way."""

from collections.abc import Iterator

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, helper
from onnx.defs import OpSchema, SchemaError

from nascc.compiler.errors import UnsupportedByTarget
from nascc.compiler.legalise_moves import MOVES, NEUTRAL, CanNotMove, Scope
from nascc.runtime.profile import ir_version_of


def legalise(model: ModelProto, opset: int) -> ModelProto:
    """A copy of `model`, which may import the default domain alone, that imports `opset` of it.

    Raises UnsupportedByTarget, with every operator that the older opset can not express.
    """
    result = ModelProto()
    result.CopyFrom(model)
    (source,) = (entry.version for entry in model.opset_import)
    if problems := [*_move_graph(Scope.of(result.graph, opset), source)]:
        raise UnsupportedByTarget(f"every operator must exist at opset {opset}, but: " + "; ".join(problems))
    _drop_unused(result.graph)
    result.opset_import[0].version = opset
    result.ir_version = ir_version_of(opset)
    return result


def _move_graph(scope: Scope, source: int) -> Iterator[str]:
    """Move every node of a graph in place; what stands in the way."""
    moved: list[NodeProto] = []
    for node in list(scope.graph.node):
        moved.append(node)
        try:
            moved += _move_node(node, scope, source)
        except CanNotMove as problem:
            yield f"{node.op_type} '{node.name}' {problem}"
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _move_graph(Scope.of(attribute.g, scope.opset, scope), source)
    del scope.graph.node[:]
    scope.graph.node.extend(moved)


def _move_node(node: NodeProto, scope: Scope, source: int) -> list[NodeProto]:
    """Move one node in place; the nodes that have to follow it."""
    new, old = (_schema(node, version) for version in (source, scope.opset))
    if new.since_version == old.since_version:
        return []
    following = MOVES[node.op_type](scope, node) if node.op_type in MOVES else []
    _drop_neutral(node, old)
    _drop_empty(node, old)
    return following


def _schema(node: NodeProto, opset: int) -> OpSchema:
    try:
        return onnx.defs.get_schema(node.op_type, opset, node.domain)
    except SchemaError as error:
        raise CanNotMove("does not exist") from error


def _drop_neutral(node: NodeProto, old: OpSchema) -> None:
    """Forget attributes that the old operator lacks and that say what it does anyway."""
    for attribute in list(node.attribute):
        if attribute.name in old.attributes:
            continue
        value = helper.get_attribute_value(attribute)
        is_neutral = NEUTRAL.get((node.op_type, attribute.name), lambda _: False)
        if not is_neutral(value):
            raise CanNotMove(f"has no attribute {attribute.name} = {value}")
        node.attribute.remove(attribute)


def _drop_empty(node: NodeProto, old: OpSchema) -> None:
    """Forget inputs and results at the end that are left out."""
    for names, fewest in ((node.input, old.min_input), (node.output, old.min_output)):
        while len(names) > fewest and not names[-1]:
            del names[-1]
    if len(node.input) > old.max_input:
        raise CanNotMove(f"has no input {len(node.input)}")
    if len(node.output) > old.max_output:
        raise CanNotMove(f"has no result {len(node.output)}")


def _drop_unused(graph: GraphProto) -> None:
    """Forget constants that became attributes; a graph inside of a node may read any."""
    if any(a.type == AttributeProto.GRAPH for node in graph.node for a in node.attribute):
        return
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    if len(kept) < len(graph.initializer):
        del graph.initializer[:]
        graph.initializer.extend(kept)
