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


def everywhere(node: Node) -> bool:
    """Every call of a target is meant."""
    return True


@dataclass(frozen=True)
class Rule:
    """Replaces calls of `targets`, those for which `applies` holds.

    `refusal` gives the reason why a call has to stay, None when it can go; `build` makes the calls that take its
    place, and its docstring says which. A rule never writes what it applies to.
    """

    targets: tuple[OpOverload, ...]
    build: Callable[[Edit, Node], Node]
    refusal: Callable[[Node], str | None] = always
    numerics: Numerics = Numerics.ROUNDING
    applies: Callable[[Node], bool] = everywhere

    def is_for(self, node: Node) -> bool:
        """Is the node a call that this rule is about?"""
        return node.op == "call_function" and node.target in self.targets and self.applies(node)

    @property
    def spec(self) -> str:
        """`before -> after`."""
        return " ".join((self.build.__doc__ or "").split())
