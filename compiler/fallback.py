"""Operators that nascc does not write itself: torch's own exporter, its result moved to the opset asked for."""

from onnx import ModelProto
from torch import fx

from nascc.compiler.errors import UnsupportedByTarget


def export_foreign(graph: fx.GraphModule, *, opset: int) -> ModelProto:
    """The ONNX model of a graph in nascc's IR, as torch's exporter writes it."""
    raise UnsupportedByTarget("no second way to write the graph exists yet")
