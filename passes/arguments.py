"""Arguments of an ATen call by name, defaults filled in."""

from typing import Any

import torch
from torch.fx import Node


def arguments(node: Node) -> dict[str, Any]:
    """`{name: argument}` of a call of an ATen operator, in the order of its schema."""
    schema = node.target._schema  # type: ignore[union-attr]
    given = dict(zip((a.name for a in schema.arguments), node.args, strict=False)) | node.kwargs
    return {a.name: given.get(a.name, a.default_value if a.has_default_value() else None) for a in schema.arguments}


def full(values: Any, n: int) -> list[Any]:
    """A per-dimension option as a list of `n`: one value stands for all, an empty list for the default 1."""
    if not isinstance(values, (list, tuple)):
        return [values] * n
    return list(values) * n if len(values) == 1 else list(values)


def wrap(dim: int, rank: int) -> int:
    """A dimension counted from the front; rank 0 counts as 1."""
    return dim + max(rank, 1) if dim < 0 else dim


def wrap_all(dims: Any, rank: int) -> list[int]:
    """Dimensions counted from the front; None or an empty list means all of them."""
    if dims is None or (isinstance(dims, (list, tuple)) and not dims):
        return list(range(rank))
    return [wrap(d, rank) for d in (dims if isinstance(dims, (list, tuple)) else [dims])]


def is_number(value: object) -> bool:
    """Is an argument a plain number (not a symbolic one, not a node)?"""
    return isinstance(value, (int, float)) and not isinstance(value, (bool, torch.SymInt, torch.SymFloat))
