"""Which dtype a substitution computes in: half types are too narrow for sums of squares."""

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.edit import Edit

aten = torch.ops.aten
NARROW = (torch.float16, torch.bfloat16)


def cast_to(edit: Edit, x: Node, dtype: torch.dtype | None) -> Node:
    """`x` as a value of the recorded dtype `dtype`; `x` itself where it has it."""
    if g.dtype(x) == dtype or dtype is None:
        return x
    new = edit.call(aten._to_copy.default, x, dtype=torch.float64 if dtype.is_floating_point else dtype)
    new.meta["dtype"] = dtype
    return new


def widened(edit: Edit, x: Node) -> Node:
    """`x` in float32 where its recorded dtype is narrower, as torch itself computes statistics."""
    return cast_to(edit, x, torch.float32) if g.dtype(x) in NARROW else x
