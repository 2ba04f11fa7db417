"""Every ATen operator nascc can write as ONNX, and the operator set each one needs."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from torch._ops import OpOverload

from nascc.compiler.lowering import (
    activation,
    adaptive_pool,
    attention,
    clip,
    compare,
    conv,
    convert,
    elementwise,
    factory,
    index,
    linear,
    norm,
    padding,
    pool,
    recurrent,
    reduce,
    resize,
    shape,
    sort,
    windows,
)

Lowering = Callable[..., Any]
"""`lowering(w, *arguments)` emits a call's operators and returns its value (a tuple where it has several results)."""

FAMILIES: tuple[ModuleType, ...] = (
    activation,
    adaptive_pool,
    attention,
    clip,
    compare,
    conv,
    convert,
    elementwise,
    factory,
    index,
    linear,
    norm,
    padding,
    pool,
    recurrent,
    reduce,
    resize,
    shape,
    sort,
    windows,
)


def _lowerings() -> dict[OpOverload, Lowering]:
    table: dict[OpOverload, Lowering] = {}
    for family in FAMILIES:
        if twice := table.keys() & family.LOWERINGS.keys():
            raise ValueError(f"an operator must have one lowering, found two for {', '.join(map(str, twice))}")
        table |= family.LOWERINGS
    return table


LOWERINGS = _lowerings()
NEEDS: dict[OpOverload, int] = {
    target: opset for family in FAMILIES for target, opset in getattr(family, "NEEDS", {}).items()
}
"""The lowest operator set that has an operator of this meaning; below it the graph needs a substitution."""


def needs_substitution(opset: int) -> frozenset[OpOverload]:
    """The ATen operators that must be replaced in the graph before it is lowered to this operator set."""
    return frozenset(target for target, lowest in NEEDS.items() if opset < lowest)
