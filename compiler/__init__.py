"""Capture a network, rewrite it, lower it to ONNX, and prove that nothing changed: `compile()`."""

from nascc.compiler.capture import Captured, capture
from nascc.compiler.compile import Compiled, compile
from nascc.compiler.errors import CaptureFailed, CompileError, NotEquivalent, UnsupportedByTarget, UsageError
from nascc.compiler.shapes import InputSpec, parse_shapes

__all__ = [
    "CaptureFailed",
    "Captured",
    "CompileError",
    "Compiled",
    "InputSpec",
    "NotEquivalent",
    "UnsupportedByTarget",
    "UsageError",
    "capture",
    "compile",
    "parse_shapes",
]
