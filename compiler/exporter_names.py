"""Names of the form `module.path/operator[_k]` for what torch's exporter wrote."""

import ast

from onnx import GraphProto, ModelProto, NodeProto

from nascc.compiler.lowering.names import Names, node_name

SCOPES = "pkg.torch.onnx.name_scopes"
"""Key under which torch's exporter notes the modules a node comes from, the innermost last but the node's own name."""


def name_by_module(model: ModelProto) -> None:
    """Name nodes and their results by the module they come from; nothing else that the exporter noted is kept.

    Graph inputs, outputs and initialisers keep their names, and so do all values where a node holds a graph.
    """
    graph = model.graph
    kept = {value.name for value in (*graph.input, *graph.output, *graph.initializer)}
    names = Names(kept)
    has_graphs = any(a.HasField("g") for node in graph.node for a in node.attribute)
    renamed: dict[str, str] = {}
    for node in graph.node:
        node.name = names.unique(node_name(node.op_type, _module_of(node)))
        for k, name in enumerate(node.output):
            if name and name not in kept and not has_graphs:
                renamed[name] = node.name if len(node.output) == 1 else f"{node.name}.{k}"
    _rename(graph, renamed)
    _forget_notes(model)


def _module_of(node: NodeProto) -> str:
    scopes = [ast.literal_eval(p.value) for p in node.metadata_props if p.key == SCOPES]
    path = str(scopes[0][-2]) if scopes and len(scopes[0]) > 1 else ""
    return "" if path.startswith("_empty_") else path


def _rename(graph: GraphProto, renamed: dict[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for value in graph.value_info:
        value.name = renamed.get(value.name, value.name)


def _forget_notes(model: ModelProto) -> None:
    """Drop stack traces and the like: they tell about the machine, and old IR versions have no place for them."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
