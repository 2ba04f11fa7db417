"""A plan turned into calls: the walk that a graph pass, or a test, fills with its own three verbs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from nascc.passes.linear.deploy import Deployed
from nascc.passes.linear.operator import Refusal
from nascc.passes.linear.plan import Join, Planned, Row, Segment, steps
from nascc.passes.linear.region import Chain, Expr, Leaf, Sum

T = TypeVar("T")


@dataclass(frozen=True)
class Emitter(Generic[T]):
    """How values of one kind (graph nodes, tensors) are made.

    leaf      an operator of the original graph on a value, which may have other channels than it had there
    deployed  a new convolution with its fix, and the segment it stands for
    join      'sum' or 'concat' of values
    """

    leaf: Callable[[Leaf, T], T]
    deployed: Callable[[Deployed, T, Segment], T]
    join: Callable[[str, list[T]], T]


def emit(node: Planned, x: T, emitter: Emitter[T]) -> T:
    """The value of a planned region for the input value x."""
    if isinstance(node, Row):
        for part in node.parts:
            x = emit(part, x, emitter)
        return x
    if isinstance(node, Join):
        return emitter.join(node.kind, [emit(part, x, emitter) for part in node.parts])
    found = None if node.form is None else steps(node)
    if found is None or isinstance(found, Refusal):
        return emit_as_it_stands(node.part, x, emitter)
    for step in found:
        x = emitter.leaf(step, x) if isinstance(step, Leaf) else emitter.deployed(step, x, node)
    return x


def emit_as_it_stands(part: Expr, x: T, emitter: Emitter[T]) -> T:
    """The value of an expression, every leaf as it is."""
    if isinstance(part, Leaf):
        return emitter.leaf(part, x)
    if isinstance(part, Chain):
        for stage in part.parts:
            x = emit_as_it_stands(stage, x, emitter)
        return x
    kind = "sum" if isinstance(part, Sum) else "concat"
    return emitter.join(kind, [emit_as_it_stands(branch, x, emitter) for branch in part.parts])
