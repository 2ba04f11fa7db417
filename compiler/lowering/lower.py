"""`lower`: a captured graph becomes an ONNX model of the operator set asked for."""

from collections.abc import Mapping, Sequence

from onnx import ModelProto
from torch import fx

from nascc.compiler.lowering.draw import draw
from nascc.compiler.lowering.model import build_model
from nascc.compiler.lowering.symbolic import shape_of
from nascc.compiler.lowering.unlowerable import CanNotLower, Unlowerable
from nascc.compiler.lowering.values import Dim
from nascc.runtime.profile import ir_version_of


def lower(
    gm: fx.GraphModule,
    *,
    opset: int,
    ir_version: int | None = None,
    name: str = "nascc",
    input_dims: Mapping[str, Sequence[Dim]] | None = None,
) -> ModelProto:
    """The ONNX model of a graph in nascc's IR, every value in its recorded dtype.

    `input_dims` gives the sizes of inputs by name, dynamic ones as the letters that the model shall show.
    Raises CanNotLower, which lists every node without an ONNX form at this opset; RuntimeTargetError for an opset
    that nascc does not write.
    """
    ir_version = ir_version_of(opset) if ir_version is None else ir_version
    drawn, problems = draw(gm, opset)
    if problems:
        raise CanNotLower(opset, problems)
    letters = _letters(gm, input_dims or {})
    return build_model(drawn, opset=opset, ir_version=ir_version, name=name, letters=letters)


def can_lower(gm: fx.GraphModule, opset: int) -> list[Unlowerable]:
    """The nodes that have no ONNX form at this operator set; empty when `lower` will succeed."""
    return draw(gm, opset)[1]


def _letters(gm: fx.GraphModule, input_dims: Mapping[str, Sequence[Dim]]) -> dict[str, str]:
    """The letter for each symbol that is the size of an input."""
    letters: dict[str, str] = {}
    for node in gm.graph.find_nodes(op="placeholder"):
        for symbol, letter in zip(shape_of(node.meta["val"]), input_dims.get(str(node.target), ()), strict=False):
            if isinstance(symbol, str) and isinstance(letter, str):
                letters.setdefault(symbol, letter)
    return letters
