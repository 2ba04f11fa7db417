"""Whether a target can run an ONNX model: versions, operators, types and restrictions, without its runtime."""

from collections.abc import Container, Iterator, Mapping

import onnx
from onnx import FunctionProto, ModelProto, NodeProto

from nascc.compiler.known import Known
from nascc.compiler.lint import DEFAULT, Finding, Judge, check_graph, check_nodes, schema_judge
from nascc.compiler.restrictions import restriction_judge
from nascc.compiler.schemas import find_schema
from nascc.compiler.substitutions import RULE_FOR, advice
from nascc.compiler.target_types import FIRST_INT64, TypeJudge
from nascc.runtime.profile import Target

FIRST_WITH_FUNCTIONS = (9, 0)
"""The first TensorRT that imports the local functions of a model."""


def check_target(model: ModelProto, target: Target) -> list[Finding]:
    """What keeps a target from running a model, and what the user should know of; no runtime is needed.

    An older opset or IR version than the target's is fine. Bodies of branches and loops and local functions are
    checked like the graph. Findings with `blocks` unset are notes.
    """
    found = [*_check_versions(model, target)]
    imports = {"" if entry.domain in DEFAULT else entry.domain: entry.version for entry in model.opset_import}
    if "" not in imports:
        return found
    judges = _judges(model, target, imports)
    found += check_graph(model.graph, judges)
    for function in model.functions:
        found += _check_function(function, model, target)
    return [*found, *_notes(model, target)]


def blocking(findings: list[Finding]) -> list[Finding]:
    """Those that keep the target from running the model."""
    return [finding for finding in findings if finding.blocks]


def _check_versions(model: ModelProto, target: Target) -> Iterator[Finding]:
    opset = max((entry.version for entry in model.opset_import if entry.domain in DEFAULT), default=None)
    if opset is None:
        yield Finding("", "", "", "the model must import an opset of ai.onnx, found none", "export it again")
    elif opset > target.opset:
        problem = f"{target.name} reads opset {target.opset} at most, found {opset}"
        yield Finding("", "", "", problem, f"export with opset {target.opset}, or `nascc fuse` the PyTorch model")
    if model.ir_version > target.ir_version:
        problem = f"{target.name} reads IR version {target.ir_version} at most, found {model.ir_version}"
        yield Finding("", "", "", problem, f"set ir_version to {target.ir_version} or export again")


def _judges(model: ModelProto, target: Target, imports: dict[str, int]) -> tuple[Judge, ...]:
    local = {(function.domain, function.name) for function in model.functions}

    def is_foreign(node: NodeProto) -> bool:
        """Operators that ONNX's own schemas do not judge: of the model's own functions, and of other domains."""
        return (node.domain, node.op_type) in local or node.domain not in DEFAULT

    schemas = schema_judge(imports, is_foreign)

    def by_schema(node: NodeProto, known: Known) -> Iterator[Finding]:
        return iter(()) if (node.domain, node.op_type) in local else schemas(node, known)

    judges: list[Judge] = [by_schema, _operator_judge(target, local, imports)]
    if (table := target.operators) is not None:
        judges += [TypeJudge(table), restriction_judge(target.tensorrt or table.version)]
    return tuple(judges)


def _operator_judge(target: Target, local: set[tuple[str, str]], imports: Mapping[str, int]) -> Judge:
    """Nodes held against what the target imports."""
    lacks, table = set(target.lacks), target.operators
    importable = None if table is None else set(table.operators)

    def judge(node: NodeProto, known: Known) -> Iterator[Finding]:
        if (node.domain, node.op_type) in local:
            if not _imports_functions(target):
                yield Finding.of(node, f"{target.runtime_words} imports no local functions", "inline them")
        elif node.domain not in DEFAULT:
            yield from _check_domain(node, target, imports)
        elif find_schema(node.op_type, imports[""]) is None:
            return
        elif node.op_type in lacks or (importable is not None and node.op_type not in importable):
            problem = f"{target.runtime_words} does not import this operator"
            yield Finding.of(node, problem, _help(node.op_type, target), RULE_FOR.get(node.op_type, ""))

    return judge


def _help(kind: str, target: Target) -> str:
    """What to do about an operator that the target does not import."""
    if kind in RULE_FOR:
        return f"`nascc fuse --target {target.name}` replaces it by the rule '{RULE_FOR[kind]}'"
    return advice(kind)


def _check_domain(node: NodeProto, target: Target, domains: Container[str]) -> Iterator[Finding]:
    """An operator of another domain: onnxruntime knows some, TensorRT none without a plugin."""
    if node.domain not in domains:
        yield Finding.of(node, f"the model must import the domain '{node.domain}' that it uses", "export it again")
    elif target.software.runtime != "onnxruntime":
        help = "it would need a plugin of this name" if target.tensorrt else ""
        yield Finding.of(node, f"{target.runtime_words} does not know the domain '{node.domain}'", help)
    elif not _onnxruntime_has(node):
        yield Finding.of(node, f"onnxruntime has no operator {node.domain}.{node.op_type}")


def _onnxruntime_has(node: NodeProto) -> bool:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return any((s.domain, s.name) == (node.domain, node.op_type) for s in state.get_all_operator_schema())


def _check_function(function: FunctionProto, model: ModelProto, target: Target) -> list[Finding]:
    """The body of a local function, for those who import it; its own opsets hold inside."""
    if not _imports_functions(target):
        return []
    imports = {"" if entry.domain in DEFAULT else entry.domain: entry.version for entry in function.opset_import}
    known = Known(defined={"", *function.input})
    found = check_nodes(function.node, _judges(model, target, {"": target.opset} | imports), known)
    return [*found]


def _imports_functions(target: Target) -> bool:
    return target.tensorrt is None or tuple(map(int, target.tensorrt.split(".")))[:2] >= FIRST_WITH_FUNCTIONS


def _notes(model: ModelProto, target: Target) -> Iterator[Finding]:
    """What holds for the model as a whole and stops nothing."""
    if target.tensorrt is None or target.operators is None:
        return
    tensors = [value.type.tensor_type for value in model.graph.input if value.type.HasField("tensor_type")]
    kinds = {t.elem_type for t in tensors} | {t.data_type for t in model.graph.initializer}
    if onnx.TensorProto.DOUBLE in kinds:
        yield _note("TensorRT computes doubles as float32")
    narrows = TypeJudge(target.operators).version < FIRST_INT64
    if narrows and onnx.TensorProto.INT64 in {t.elem_type for t in tensors}:
        yield _note("TensorRT computes int64 as int32: numbers beyond 2^31 are clamped")
    open_sizes = [v.name for v in model.graph.input if any(d.dim_param for d in v.type.tensor_type.shape.dim)]
    if open_sizes:
        yield _note(
            f"sizes of {', '.join(open_sizes)} are dynamic", "give the engine a range for them when it is built"
        )
    quantised = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
    if quantised and "int8" not in target.precisions:
        yield _note(f"{target.name} has no int8: quantised layers gain nothing")


def _note(problem: str, help: str = "") -> Finding:
    return Finding("", "", "", problem, help, blocks=False)
