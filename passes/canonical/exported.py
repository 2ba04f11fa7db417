"""`from_exported`: anybody's exported program as a graph in nascc's IR."""

import re
import warnings
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, InputSpec, OutputKind
from torch.fx import Node
from torch.utils import _pytree as pytree

from nascc.passes.canonical.functionalise import drop_inactive, functionalise
from nascc.passes.canonical.inline import inline_wrapped, refuse_control_flow
from nascc.passes.canonical.normalise import foreign, normalise
from nascc.passes.canonical.promote import promote
from nascc.passes.errors import CanNotRead
from nascc.passes.graph import check_graph, set_constant
from nascc.passes.signature import Fixed, Signature

aten = torch.ops.aten
CHECKED = (
    aten.linalg_inv.default,
    aten.linalg_solve.default,
    aten.linalg_cholesky.default,
    aten.linalg_lu_factor.default,
    aten.linalg_ldl_factor.default,
)
"""Calls that torch would take apart into a result and a check of it, which a graph of values can not hold."""


def from_exported(program: ExportedProgram) -> fx.GraphModule:
    """The IR of an exported program: functional ATen in float64, constants by name, dtypes and modules recorded.

    Raises CanNotRead for programs that change their own state, hold custom objects, or return no tensor.
    """
    gm = _read(program)
    if gm is None or foreign(gm):
        gm = _read(_decomposed(program, gm)) or gm
    if gm is None:
        raise CanNotRead(
            "the program writes into values that others still read, and torch could not make it functional"
        )
    promote(gm)
    check_graph(gm)
    return gm


def _decomposed(program: ExportedProgram, gm: fx.GraphModule | None) -> ExportedProgram:
    """The same program made functional by torch, operators that nascc does not keep taken apart."""
    unknown = set() if gm is None else foreign(gm)
    known = torch.export.default_decompositions()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        parted = {op: known[op] for op in unknown if op in known and op not in CHECKED}
        functional: ExportedProgram = program.run_decompositions(parted)
    return functional


def _read(program: ExportedProgram) -> fx.GraphModule | None:
    """The program as a normalised graph in its own dtypes; None when in-place writes are visible elsewhere."""
    graph = fx.Graph()
    made: dict[Node, Node] = {}
    for node in program.graph.nodes:
        made[node] = graph.node_copy(node, made.__getitem__)
    gm = fx.GraphModule(torch.nn.Module(), fx.Graph())
    inline_wrapped(program.graph_module, graph)
    record_provenance(graph)
    refuse_control_flow(graph)
    names = _bind_constants(program, gm, graph)
    output = next(iter(graph.find_nodes(op="output")))
    output_names, kept, output_slots = _outputs(program, output, set(names))
    signature = Signature(
        input_names=tuple(n for n in names if n is not None),
        output_names=output_names,
        input_slots=tuple(names),
        output_slots=output_slots,
        in_spec=program.call_spec.in_spec,
        out_spec=program.call_spec.out_spec,
    )
    output.args = (kept,)
    gm.graph, gm.meta["signature"] = graph, signature
    gm.graph.owning_module = gm
    drop_inactive(gm.graph)
    if not functionalise(gm.graph):
        return None
    normalise(gm)
    return gm


def record_provenance(graph: fx.Graph) -> None:
    """Note for every node the recorded dtype of its value and the module it comes from."""
    for node in graph.nodes:
        stack = list((node.meta.get("nn_module_stack") or {}).values())
        path = re.sub(r"@\d+", "", str(stack[-1][0])) if stack else ""
        node.meta["module"] = path.removeprefix("L['self'].").removeprefix("_export_root.")
        node.meta["sources"] = (node.meta["module"],) if path else ()
        if "val" in node.meta:
            node.meta["dtype"] = pytree.tree_map(lambda v: v.dtype if isinstance(v, Tensor) else None, node.meta["val"])


def _bind_constants(program: ExportedProgram, gm: fx.GraphModule, graph: fx.Graph) -> list[str | None]:
    """Turn parameter placeholders into `get_attr` nodes; returns the user inputs' names, None for fixed ones."""
    names: list[str | None] = []
    seen: dict[Any, Node] = {}
    for spec, node in zip(program.graph_signature.input_specs, graph.find_nodes(op="placeholder"), strict=True):
        if spec.kind is InputKind.USER_INPUT:
            names.append(_user_input(node))
        else:
            _constant(program, gm, spec, node, seen)
    return names


def _user_input(node: Node) -> str | None:
    if not isinstance(node.meta.get("val"), Tensor):
        if node.users:
            raise CanNotRead(
                f"input '{node.target}' must be a tensor, found {node.meta.get('val')!r}; fix it in the model"
            )
        node.graph.erase_node(node)
        return None
    return str(node.target)


def _constant(program: ExportedProgram, gm: fx.GraphModule, spec: InputSpec, node: Node, seen: dict[Any, Node]) -> None:
    name = str(spec.target)
    tensor = program.state_dict.get(name, program.constants.get(name))
    if not node.users:
        node.graph.erase_node(node)
        return
    if not isinstance(tensor, Tensor):
        raise CanNotRead(f"'{name}' must be a tensor, found {spec.kind.name.lower()} {type(tensor).__name__}")
    tensor = tensor.detach()
    key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype) if tensor.numel() else object()
    if key in seen:
        node.replace_all_uses_with(seen[key])
    else:
        set_constant(gm, name, tensor)
        with node.graph.inserting_before(node):
            seen[key] = node.graph.create_node("get_attr", name)
        seen[key].meta = dict(node.meta)
        node.replace_all_uses_with(seen[key])
    node.graph.erase_node(node)


def _outputs(
    program: ExportedProgram, output: Node, taken: set[str | None]
) -> tuple[tuple[str, ...], tuple[Node, ...], tuple[int | Fixed, ...]]:
    """Names and nodes of the tensors the user gets back, and where each flat output of the call comes from."""
    names: list[str] = []
    nodes: list[Node] = []
    slots: list[int | Fixed] = []
    for spec in program.graph_signature.output_specs:
        if spec.kind is OutputKind.BUFFER_MUTATION:
            raise CanNotRead(
                f"forward must not change the model, but it updates '{spec.target}'; export it in eval mode"
            )
    values = [
        value
        for spec, value in zip(program.graph_signature.output_specs, output.args[0], strict=True)  # type: ignore[arg-type]
        if spec.kind is OutputKind.USER_OUTPUT
    ]
    for name, value in zip(_output_names(program.call_spec.out_spec, len(values), taken), values, strict=True):
        if isinstance(value, Node) and isinstance(value.meta.get("val"), Tensor):
            slots.append(len(nodes))
            names.append(name)
            nodes.append(value)
        elif isinstance(value, Node):
            raise CanNotRead(f"output '{name}' must be a tensor, found a size; return it from outside of the model")
        else:
            slots.append(Fixed(value))
    if not nodes:
        raise CanNotRead("the model must return at least one tensor, found none")
    return tuple(names), tuple(nodes), tuple(slots)


def _output_names(spec: Any, count: int, taken: set[str | None]) -> list[str]:
    """`output`, or the keys that lead to each value in what the model returns (`features_0`, `logits`)."""
    tree = pytree.tree_unflatten(list(range(count)), spec)
    paths = [path for path, _ in pytree.tree_flatten_with_path(tree)[0]]
    names: list[str] = []
    for path in paths:
        name = "_".join(re.sub(r"\W+", "_", pytree.keystr((key,))).strip("_") for key in path)
        name = f"output_{name}" if name[:1].isdigit() else name or "output"
        while name in taken or name in names:
            name += "_out"
        names.append(name)
    return names
