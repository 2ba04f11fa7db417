"""From the rewritten graph to the ONNX model of a target: substitute what is lacking, write, check."""

from dataclasses import dataclass, replace

import torch
from onnx import ModelProto
from torch import fx

from nascc.compiler.errors import UnsupportedByTarget
from nascc.compiler.fallback import export_foreign
from nascc.compiler.lint import check_model
from nascc.compiler.lowering import CanNotLower, lower
from nascc.compiler.shapes import InputSpec
from nascc.compiler.simplify import simplify
from nascc.compiler.substitutions import rules_for
from nascc.passes import PassResult, SubstituteOperators, run_pass
from nascc.passes import graph as g
from nascc.runtime.profile import Target, ir_version_of

CONVOLUTION = torch.ops.aten.convolution.default
NOWHERE = (torch.float64, torch.bfloat16)
"""Neither onnxruntime nor TensorRT convolve in float64, and ONNX has no bfloat16 convolution below opset 22."""


@dataclass(frozen=True, eq=False)
class Deployed:
    """An ONNX model, the graph it was written from, and what was substituted on the way."""

    model: ModelProto
    graph: fx.GraphModule
    substituted: PassResult
    warnings: tuple[str, ...] = ()


def deploy(
    graph: fx.GraphModule, target: Target, opset: int, specs: tuple[InputSpec, ...], *, simplified: bool = False
) -> Deployed:
    """The ONNX model of a graph for a target, every node checked against the opset's schema.

    Raises UnsupportedByTarget, with every operator that can not be expressed.
    """
    own = g.copy_graph(graph)
    _check_dtypes(own)
    substituted = run_pass(SubstituteOperators(rules_for(opset, target.lacks, target.tensorrt)), own)
    warnings: list[str] = []
    try:
        model = lower(own, opset=opset, input_dims={s.name: s.dims for s in specs})
    except CanNotLower as error:
        model = _foreign(graph, opset, specs, _explained(error, substituted))
        warnings.append(f"written by torch's exporter, not by nascc: {error}")
        simplified = True
    if simplified:
        model, problem = simplify(model)
        warnings += [f"not simplified: {problem}"] if problem else []
    if findings := check_model(model, opset=opset, ir_version=ir_version_of(opset)):
        raise UnsupportedByTarget(f"every node must follow opset {opset}, but: " + "; ".join(map(str, findings)))
    return Deployed(model, own, substituted, tuple(warnings))


def _check_dtypes(graph: fx.GraphModule) -> None:
    """Raise UnsupportedByTarget for convolutions in a dtype that no runtime of a target has."""
    wide = [n for n in graph.graph.nodes if g.is_call(n, CONVOLUTION) and g.dtype(n) in NOWHERE]
    if wide:
        dtype = str(g.dtype(wide[0])).removeprefix("torch.")
        raise UnsupportedByTarget(
            f"convolutions must be in float32 or float16, found {dtype} in '{g.label(wide[0])}'; "
            "convert the model with model.float() before it is exported"
        )


def _explained(error: CanNotLower, substituted: PassResult) -> CanNotLower:
    """The error with the reasons why nodes that a rule is for were not substituted."""
    refused = {reject.node.name: f"not substituted, since it {reject.reason}" for reject in substituted.rejects}
    return CanNotLower(error.opset, [replace(node, reason=refused.get(node.node, node.reason)) for node in error.nodes])


def _foreign(graph: fx.GraphModule, opset: int, specs: tuple[InputSpec, ...], reason: CanNotLower) -> ModelProto:
    """The model as torch's exporter writes it, adapted to the opset; what neither can write is told as nascc saw it."""
    try:
        return export_foreign(graph, opset=opset, input_dims={s.name: s.dims for s in specs})
    except UnsupportedByTarget as error:
        raise UnsupportedByTarget(f"{reason}; torch's exporter can not help: {error}") from error
