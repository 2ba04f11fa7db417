"""The ONNX writer: a captured graph in nascc's small ATen dialect becomes an ONNX model, node by node."""

from nascc.compiler.lowering.lower import can_lower, lower
from nascc.compiler.lowering.save import to_bytes, write_onnx
from nascc.compiler.lowering.table import needs_substitution
from nascc.compiler.lowering.unlowerable import CanNotLower, Unlowerable

__all__ = [
    "CanNotLower",
    "Unlowerable",
    "can_lower",
    "lower",
    "needs_substitution",
    "to_bytes",
    "write_onnx",
]
