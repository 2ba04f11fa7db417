"""Operators that nascc does not write itself: torch's own exporter, its result moved to the opset asked for."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import onnx.inliner
import torch
from onnx import ModelProto
from torch import Tensor, fx

from nascc.compiler.errors import UnsupportedByTarget
from nascc.compiler.legalise import legalise
from nascc.compiler.lint import check_model
from nascc.compiler.substitutions import rules_for
from nascc.passes import SubstituteOperators, demote, run_pass
from nascc.passes import graph as g
from nascc.runtime.profile import ir_version_of

OLDEST = 18
"""The oldest opset that torch's exporter writes."""


def export_foreign(graph: fx.GraphModule, *, opset: int) -> ModelProto:
    """The ONNX model of a graph in nascc's IR as torch's exporter writes it, with `opset` of the default domain alone.

    Raises UnsupportedByTarget where the exporter is not installed, or can not write an operator, or the opset lacks it.
    """
    own = g.copy_graph(graph)
    run_pass(SubstituteOperators(rules_for(opset)), own)
    model = _flat(_export(own, max(opset, OLDEST)))
    model = legalise(model, opset)
    if findings := check_model(model, opset=opset, ir_version=ir_version_of(opset)):
        raise UnsupportedByTarget(f"torch's exporter must write opset {opset}, but: " + "; ".join(map(str, findings)))
    return model


def _export(graph: fx.GraphModule, opset: int) -> ModelProto:
    """What torch's exporter writes."""
    names = g.signature(graph)
    inputs = graph.graph.find_nodes(op="placeholder")
    try:
        with _quiet():
            program = torch.onnx.export(
                _Flat(demote(graph)),
                tuple(_example(node) for node in inputs),
                dynamo=True,
                optimize=True,
                opset_version=opset,
                input_names=names.input_names,
                output_names=names.output_names,
                dynamic_shapes=tuple(_dynamic(node) for node in inputs),
                verbose=False,
            )
    except ModuleNotFoundError as error:
        raise UnsupportedByTarget(f"torch's exporter needs {error.name}; `pip install nascc[fallback]`") from error
    except torch.onnx.OnnxExporterError as error:
        raise UnsupportedByTarget(f"torch's exporter failed: {_summary(error)}") from error
    assert program is not None
    return program.model_proto
