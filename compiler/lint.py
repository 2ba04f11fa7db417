"""Check an ONNX model against the operator set and the IR version it is meant to follow."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import onnx
from onnx import GraphProto, ModelProto, NodeProto

from nascc.compiler.known import Known
from nascc.compiler.report import Object
from nascc.compiler.schemas import check_call, find_schema
from nascc.runtime.onnx_file import bodies

DEFAULT = ("", "ai.onnx")
"""The names of the domain of ONNX's own operators."""


@dataclass(frozen=True)
class Finding:
    """Something in a model that is not as it must be; `node` is empty when the model as a whole is meant.

    `rule` names the substitution of `nascc fuse` that avoids it. What only deserves a look does not block.
    """

    node: str
    op: str
    module: str
    problem: str
    help: str = ""
    rule: str = ""
    blocks: bool = True

    @classmethod
    def of(cls, node: NodeProto, problem: str, help: str = "", rule: str = "", *, blocks: bool = True) -> "Finding":
        """A finding about a node; the module is what stands before the last `/` of its name.

        A node without a name is called after its first output.
        """
        label = node.name or next((name for name in node.output if name), "")
        return cls(label, node.op_type, node.name.rpartition("/")[0], problem, help, rule, blocks)

    def entry(self) -> Object:
        """The finding in a report; `severity` is error for what blocks, note for the rest."""
        severity = "error" if self.blocks else "note"
        found: Object = {"severity": severity, "node": self.node, "op": self.op, "module": self.module}
        found |= {"problem": self.problem, "help": self.help}
        return found | ({"rule": self.rule} if self.rule else {})

    def __str__(self) -> str:
        where = f"{self.op} '{self.node}': " if self.op else ""
        return f"{where}{self.problem}" + (f"; {self.help}" if self.help else "")


Judge = Callable[[NodeProto, Known], Iterator[Finding]]
"""What is wrong with a node, its inputs and their types being known."""


def check_model(model: ModelProto, *, opset: int, ir_version: int) -> list[Finding]:
    """Everything that keeps the model from being one of exactly this operator set and IR version.

    Operators, attributes, numbers of inputs and outputs and number types are compared with ONNX's own schemas.
    """
    found = check_graph(model.graph, (schema_judge({"": opset}),))
    return [*_check_header(model, opset, ir_version), *found, *_check_names(model.graph)]


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


def check_graph(graph: GraphProto, judges: Sequence[Judge], outer: Known | None = None) -> Iterator[Finding]:
    """What the judges say of every node, those of bodies included, and whether every value is computed before."""
    known = Known.of(graph, outer)
    yield from check_nodes(graph.node, judges, known)
    for value in graph.output:
        if value.name not in known.defined:
            yield Finding("", "", "", f"every graph output must be computed, '{value.name}' is not")


def check_nodes(nodes: Sequence[NodeProto], judges: Sequence[Judge], known: Known) -> Iterator[Finding]:
    """What the judges say of nodes in order; `known` grows by what they compute."""
    for node in nodes:
        for name in node.input:
            if name not in known.defined:
                yield Finding.of(node, f"every input must be computed before it is used, '{name}' is not")
        for judge in judges:
            yield from judge(node, known)
        for body in bodies(node):
            yield from check_graph(body, judges, known)
        known.add(node, [*node.input, *(name for body in bodies(node) for name in _reads(body))])


def schema_judge(imports: Mapping[str, int], foreign: Callable[[NodeProto], bool] | None = None) -> Judge:
    """Nodes against ONNX's schemas, in the version that `imports` gives the default domain.

    `foreign` tells which operators of other domains are known; without it there are none.
    """

    def judge(node: NodeProto, known: Known) -> Iterator[Finding]:
        if node.domain not in DEFAULT:
            if foreign is None or not foreign(node):
                yield Finding.of(node, f"operators must be of the default domain, found '{node.domain}'")
            return
        opset = imports[""]
        schema = find_schema(node.op_type, opset)
        if schema is None:
            yield Finding.of(node, f"the operator must exist at opset {opset}", _history(node.op_type, opset))
            return
        for problem in check_call(node, schema, known.types):
            yield Finding.of(node, problem)

    return judge


def _check_names(graph: GraphProto) -> Iterator[Finding]:
    names: set[str] = set()
    for node in graph.node:
        if node.name and node.name in names:
            yield Finding.of(node, "node names must be unique, this one is taken")
        names.add(node.name)


def _reads(graph: GraphProto) -> Iterator[str]:
    """The values that a body reads from outside of it."""
    own = {v.name for v in graph.input} | {t.name for t in graph.initializer}
    own.update(name for node in graph.node for name in node.output)
    for node in graph.node:
        inner = [name for body in bodies(node) for name in _reads(body)]
        yield from (name for name in [*node.input, *inner] if name not in own)
    yield from (value.name for value in graph.output if value.name not in own)


def _history(kind: str, opset: int) -> str:
    """When ONNX has an operator."""
    schemas = [s for s in onnx.defs.get_all_schemas_with_history() if s.name == kind and s.domain == ""]
    gone = [s.since_version for s in schemas if s.deprecated and s.since_version <= opset]
    if gone:
        return f"ONNX deprecated it at opset {max(gone)}"
    first = min((s.since_version for s in schemas), default=None)
    return f"ONNX has it from opset {first} on" if first else "ONNX has no operator of this name"
