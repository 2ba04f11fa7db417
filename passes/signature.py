"""The user's calling convention of a captured graph, kept beside the flat graph."""

from dataclasses import dataclass
from typing import Any

from torch.utils._pytree import TreeSpec


@dataclass(frozen=True)
class Signature:
    """How flat graph inputs and outputs map to the call the user writes.

    `input_slots` holds one entry per flat argument of the user's call: the name of a graph input, or None where
    the argument is a Python constant that capture fixed. `output_slots` holds one entry per flat output: the index
    of a graph output, or `Fixed(value)` for a Python constant.
    """

    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    input_slots: tuple[str | None, ...]
    output_slots: tuple["int | Fixed", ...]
    in_spec: TreeSpec
    out_spec: TreeSpec


@dataclass(frozen=True)
class Fixed:
    """An output that is a Python constant (None, a number, a string)."""

    value: Any
