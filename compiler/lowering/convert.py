"""Changes of number type."""

from typing import Any

import torch

from nascc.compiler.lowering.dtypes import cast
from nascc.compiler.lowering.layout import expand
from nascc.compiler.lowering.values import Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten


def to_recorded_type(w: Writer, x: Value, *details: Any) -> Value:
    """_to_copy, to, type_as: whatever leads to the recorded type."""
    return cast(w, x, w.out.dtype)


def same(w: Writer, x: Value, *details: Any, **named: Any) -> Value:
    """Operators that change nothing in inference."""
    return x


def copy(w: Writer, x: Value, source: Value, *details: Any) -> Value:
    """The source in the shape and type of x."""
    return expand(w, cast(w, source, w.out.dtype), w.out.shape)


CASTS = (
    aten._to_copy.default,
    aten.to.dtype,
    aten.to.dtype_layout,
    aten.to.device,
    aten.to.other,
    aten.type_as.default,
)
NOTHING = (
    aten.clone.default,
    aten.alias.default,
    aten.detach.default,
    aten.contiguous.default,
    aten.lift_fresh_copy.default,
)
LOWERINGS: dict[Any, Any] = {
    **dict.fromkeys(CASTS, to_recorded_type),
    **dict.fromkeys(NOTHING, same),
    aten.copy.default: copy,
}
