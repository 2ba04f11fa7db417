"""Operators, and the slots that choose among them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import nn

from nascc.nas.core.context import Ctx


@dataclass(frozen=True)
class Op:
    """Something that can stand in a slot; `make` builds it for a place. Two of one name are the same operator."""

    name: str
    make: Callable[[Ctx], nn.Module] = field(compare=False, repr=False)


@dataclass(frozen=True)
class Slot:
    """A place where one of `ops` stands; a slot with one operator is fixed.

    `ordered` slots, such as widths and kernels, go from the largest choice (index 0) to the smallest.
    """

    name: str
    ops: tuple[Op, ...]
    ordered: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the operators, by index."""
        return tuple(op.name for op in self.ops)
