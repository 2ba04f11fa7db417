"""Operators that nascc does not write itself: torch's own exporter, its result moved to the opset asked for."""

import contextlib
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import onnx.inliner
import torch
from onnx import ModelProto
from torch import Tensor, fx
from torch.fx import Node
from torch.utils import _pytree as pytree

from nascc.compiler.errors import UnsupportedByTarget
from nascc.compiler.exporter_names import name_by_module
from nascc.compiler.legalise import legalise
from nascc.compiler.lint import check_model
from nascc.compiler.substitutions import rules_for
from nascc.passes import SubstituteOperators, demote, run_pass
from nascc.passes import graph as g
from nascc.runtime.profile import ir_version_of

OLDEST = 18
"""The oldest opset that torch's exporter writes."""

Dims = Mapping[str, Sequence[int | str]]


def export_foreign(graph: fx.GraphModule, *, opset: int, input_dims: Dims | None = None) -> ModelProto:
    """The ONNX model of a graph in nascc's IR as torch's exporter writes it: of `opset`, without local functions.

    `input_dims` gives the sizes of inputs by name, dynamic ones as the letters that the model shall show.
    Raises UnsupportedByTarget where the exporter is not installed, can not write an operator, or the opset lacks it.
    """
    own = g.copy_graph(graph)
    run_pass(SubstituteOperators(rules_for(opset)), own)
    model = _plain(_export(own, max(opset, OLDEST)), max(opset, OLDEST))
    name_by_module(model)
    _show_letters(model, input_dims or {})
    model = legalise(model, opset)
    if findings := check_model(model, opset=opset, ir_version=ir_version_of(opset)):
        raise UnsupportedByTarget(f"the model must follow opset {opset}, but: " + "; ".join(map(str, findings)))
    return model


def _export(graph: fx.GraphModule, opset: int) -> ModelProto:
    """What torch's exporter writes."""
    _flatten_signature(graph)
    names = g.signature(graph)
    inputs = graph.graph.find_nodes(op="placeholder")
    try:
        with _quiet():
            program = torch.onnx.export(
                demote(graph),
                tuple(_example(node) for node in inputs),
                dynamo=True,
                optimize=True,
                opset_version=opset,
                input_names=names.input_names,
                output_names=names.output_names,
                dynamic_shapes=tuple(_dynamic(node) for node in inputs),
                verbose=False,
            )
    except ImportError as error:
        raise UnsupportedByTarget(f"torch's exporter needs {error.name}; `pip install nascc[fallback]`") from error
    except torch.onnx.OnnxExporterError as error:
        raise UnsupportedByTarget(f"torch's exporter failed: {_last_line(error)}") from error
    assert program is not None
    return program.model_proto


def _flatten_signature(graph: fx.GraphModule) -> None:
    """Let the graph be called with its flat inputs, and return its flat outputs."""
    old = g.signature(graph)
    inputs, outputs = old.input_names, tuple(range(len(old.output_names)))
    graph.meta["signature"] = replace(
        old,
        input_slots=inputs,
        output_slots=outputs,
        in_spec=pytree.tree_structure((inputs, {})),
        out_spec=pytree.tree_structure(outputs),
    )


def _example(node: Node) -> Tensor:
    """An input of the recorded shape and dtype."""
    sizes = [size if isinstance(size, int) else size.node.hint for size in g.shape(node)]
    dtype = g.dtype(node)
    is_float = dtype is not None and dtype.is_floating_point
    return torch.rand(sizes, dtype=torch.float32).to(dtype) if is_float else torch.zeros(sizes, dtype=dtype)


def _dynamic(node: Node) -> dict[int, Any]:
    return {k: torch.export.Dim.DYNAMIC for k, size in enumerate(g.shape(node)) if not isinstance(size, int)}


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Neither warnings nor log messages of the exporter: what matters comes back as an error."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _last_line(error: BaseException) -> str:
    """The sentence of the first cause, without the advice around it."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _plain(model: ModelProto, opset: int) -> ModelProto:
    """The model without local functions. Raises UnsupportedByTarget unless it is of `opset` of the default domain."""
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    if foreign := sorted({f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain not in ("", "ai.onnx")}):
        raise UnsupportedByTarget(f"every operator must be of the default domain, found {', '.join(foreign)}")
    found = {entry.domain: entry.version for entry in model.opset_import}.get("")
    if found != opset:
        raise UnsupportedByTarget(f"torch's exporter must write opset {opset}, found {found}")
    del model.opset_import[:]
    model.opset_import.append(onnx.helper.make_opsetid("", opset))
    return model


def _show_letters(model: ModelProto, input_dims: Dims) -> None:
    """Show dynamic sizes under the letters of `input_dims`."""
    letters: dict[str, str] = {}
    for value in model.graph.input:
        for dim, letter in zip(value.type.tensor_type.shape.dim, input_dims.get(value.name, ()), strict=False):
            if dim.dim_param and isinstance(letter, str):
                letters[dim.dim_param] = letter
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param:
                dim.dim_param = re.sub(r"\w+", lambda word: letters.get(word[0], word[0]), dim.dim_param)
