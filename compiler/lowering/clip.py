"""Limiting values from below and above, by numbers or tensors."""

from typing import Any

import torch

from nascc.compiler.lowering.arithmetic import binary
from nascc.compiler.lowering.dtypes import SMALL_INTEGERS, Operand, cast
from nascc.compiler.lowering.values import Value, is_float
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten
Limit = Operand | None


def clip(w: Writer, x: Value, low: Limit = None, high: Limit = None) -> Value:
    """x limited to [low, high]; None is no limit."""
    x = cast(w, x, w.out.dtype)
    has_clip = is_float(x.dtype) or (w.opset >= 12 and x.dtype not in SMALL_INTEGERS)
    if has_clip and not isinstance(low, Value) and not isinstance(high, Value):
        limits = [None if v is None else w.scalar(v, x.dtype) for v in (low, high)]
        return w.emit("Clip", x, *limits, dtype=x.dtype, shape=x.shape)
    if low is not None:
        x = binary(w, "Max", x, low, x.dtype)
    return x if high is None else binary(w, "Min", x, high, x.dtype)


def clamp_min(w: Writer, x: Value, low: Operand) -> Value:
    """x limited from below."""
    return clip(w, x, low, None)


def clamp_max(w: Writer, x: Value, high: Operand) -> Value:
    """x limited from above."""
    return clip(w, x, None, high)


LOWERINGS: dict[Any, Any] = {
    aten.clamp.default: clip,
    aten.clamp.Tensor: clip,
    aten.clip.default: clip,
    aten.clip.Tensor: clip,
    aten.clamp_min.default: clamp_min,
    aten.clamp_min.Tensor: clamp_min,
    aten.clamp_max.default: clamp_max,
    aten.clamp_max.Tensor: clamp_max,
}
