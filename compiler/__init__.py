"""Capture a network, rewrite it, lower it to ONNX, and prove that nothing changed: `compile()`."""

from nascc.compiler.capture import Captured, capture

__all__ = ["Captured", "capture"]
