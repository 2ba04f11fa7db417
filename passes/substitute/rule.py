"""What a substitution is: the operators it replaces, when it may, and what it writes instead."""

from collections.abc import Callable
from dataclasses import dataclass

from torch._ops import OpOverload
from torch.fx import Node

from nascc.passes.base import Numerics
from nascc.passes.edit import Edit


def always(node: Node) -> None:
    """Every call can be replaced."""
    return


@dataclass(frozen=True)
class Rule:
    """Replaces calls of `targets`.

    `refusal` gives the reason why a call has to stay, None when it can go; `build` makes the calls that take its
    place, and its docstring says which. A rule never writes one of its own targets.
    """

    targets: tuple[OpOverload, ...]
    build: Callable[[Edit, Node], Node]
    refusal: Callable[[Node], str | None] = always
    numerics: Numerics = Numerics.ROUNDING

    @property
    def spec(self) -> str:
        """`before -> after`."""
        return " ".join((self.build.__doc__ or "").split())
