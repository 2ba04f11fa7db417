"""Check an ONNX model against the operator set and the IR version it is meant to follow."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from nascc.compiler.schemas import Types, check_call, find_schema, type_name


@dataclass(frozen=True)
class Finding:
    """Something in a model that is not as it must be; `node` is empty when the model as a whole is meant."""

    node: str
    op: str
    module: str
    problem: str
    help: str = ""

    @classmethod
    def of(cls, node: NodeProto, problem: str, help: str = "") -> "Finding":
        """A finding about a node; the module is what stands before the last `/` of its name."""
        return cls(node.name, node.op_type, node.name.rpartition("/")[0], problem, help)

    def __str__(self) -> str:
        where = f"{self.op} '{self.node}': " if self.op else ""
        return f"{where}{self.problem}" + (f"; {self.help}" if self.help else "")


def check_model(model: ModelProto, *, opset: int, ir_version: int) -> list[Finding]:
    """Everything that keeps the model from being one of exactly this operator set and IR version.

    Operators, attributes, numbers of inputs and outputs and number types are compared with ONNX's own schemas.
    """
    return [*_check_header(model, opset, ir_version), *_check_graph(model.graph, opset, _known_types(model.graph))]


def check_waste(model: ModelProto) -> list[Finding]:
    """What a written model should not need: Constant and no-op Identity or Cast nodes, unused initialisers."""
    graph = model.graph
    used = Counter(name for node in graph.node for name in node.input) + Counter(v.name for v in graph.output)
    found = [
        Finding("", "", "", f"initialiser '{tensor.name}' must be used by some node", "leave it out")
        for tensor in graph.initializer
        if not used[tensor.name]
    ]
    results = {v.name for v in graph.output}
    for node in graph.node:
        if node.op_type == "Constant":
            found.append(Finding.of(node, "a constant must be an initialiser", "store it in the graph"))
        elif node.op_type == "Identity" and not results & set(node.output):
            found.append(Finding.of(node, "a node must compute something", "connect its user to its input"))
        elif not any(used[name] for name in node.output):
            found.append(Finding.of(node, "a node must be used by another one or by an output", "leave it out"))
    return found


def _check_header(model: ModelProto, opset: int, ir_version: int) -> Iterator[Finding]:
    imports = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if imports != {"ai.onnx": opset}:
        listed = ", ".join(f"{domain} {version}" for domain, version in imports.items()) or "none"
        yield Finding("", "", "", f"the model must import ai.onnx {opset} alone, found {listed}")
    if model.ir_version != ir_version:
        yield Finding("", "", "", f"the IR version must be {ir_version}, found {model.ir_version}")
    if model.functions:
        names = ", ".join(function.name for function in model.functions)
        yield Finding("", "", "", f"the model must not define functions, found {names}", "inline them")


def _known_types(graph: GraphProto) -> Types:
    """Number types of graph inputs and initialisers, as schemas write them."""
    types = {v.name: type_name(v.type.tensor_type.elem_type) for v in graph.input if v.type.HasField("tensor_type")}
    return types | {tensor.name: type_name(tensor.data_type) for tensor in graph.initializer}


def _check_graph(graph: GraphProto, opset: int, types: Types) -> Iterator[Finding]:
    defined = {*types, *(v.name for v in graph.input), ""}
    names: set[str] = set()
    for node in graph.node:
        if node.name and node.name in names:
            yield Finding.of(node, "node names must be unique, this one is taken")
        names.add(node.name)
        for name in node.input:
            if name not in defined:
                yield Finding.of(node, f"every input must be computed before it is used, '{name}' is not")
        yield from _check_node(node, opset, types)
        defined.update(node.output)
    for value in graph.output:
        if value.name not in defined:
            yield Finding("", "", "", f"every graph output must be computed, '{value.name}' is not")


def _check_node(node: NodeProto, opset: int, types: Types) -> Iterator[Finding]:
    if node.domain not in ("", "ai.onnx"):
        yield Finding.of(node, f"operators must be of the default domain, found '{node.domain}'")
        return
    schema = find_schema(node.op_type, opset)
    if schema is None:
        first = _first_opset(node.op_type)
        advice = f"ONNX has it from opset {first} on" if first else "ONNX has no operator of this name"
        yield Finding.of(node, f"the operator must exist at opset {opset}", advice)
        return
    for problem in check_call(node, schema, types):
        yield Finding.of(node, problem)
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield from _check_graph(attribute.g, opset, types | _known_types(attribute.g))


def _first_opset(kind: str) -> int | None:
    schemas = onnx.defs.get_all_schemas_with_history()
    return min((s.since_version for s in schemas if s.name == kind and s.domain == ""), default=None)
