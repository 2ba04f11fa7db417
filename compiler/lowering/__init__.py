"""The ONNX writer: a captured graph in nascc's small ATen dialect becomes an ONNX model, node by node."""

from nascc.compiler.lowering.lower import can_lower, lower
from nascc.compiler.lowering.save import to_bytes, write_onnx
from nascc.compiler.lowering.table import needs_substitution
from nascc.compiler.lowering.unlowerable import CanNotLower, Unlowerable
from nascc.compiler.lowering.versions import IR_VERSION_OF_OPSET, ir_version_of

__all__ = [
    "IR_VERSION_OF_OPSET",
    "CanNotLower",
    "Unlowerable",
    "can_lower",
    "ir_version_of",
    "lower",
    "needs_substitution",
    "to_bytes",
    "write_onnx",
]
