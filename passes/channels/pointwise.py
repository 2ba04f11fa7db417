"""Operators that treat every element alike: what they make of constants, and which channels meet in them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import is_number
from nascc.passes.channels.facts import Facts, Link, Step, positions, settled

aten = torch.ops.aten
UNTAGGED = (aten.hardswish.default, aten.log_sigmoid.default, aten._to_copy.default, aten.masked_fill.Tensor)
"""Pointwise operators that torch does not tag as such."""


def pointwise(node: Node, known: Callable[[Node], Facts]) -> Step | None:
    """f(x, y, ...) element by element, operands broadcast; None for any other operator."""
    if not is_pointwise(node.target) or not isinstance(g.value(node), Tensor):
        return None
    values = [n for n in node.all_input_nodes if not g.is_constant(n)]
    if not values or not all(map(_has_no_integers, node.all_input_nodes)):
        return None
    rank = len(g.shape(node))
    layouts = [aligned(known(n).layout, rank) for n in values]
    layout = tuple(max(sizes) for sizes in zip(*layouts, strict=True))
    if any(size not in (1, whole) for one in layouts for size, whole in zip(one, layout, strict=True)):
        return None
    links = tuple(link_to(n, node, known(n).layout, layout) for n in values)
    facts, operands = _evaluated(node, known, layout)
    return Step(facts, links, _copies(node, links, operands))


def is_pointwise(target: object) -> bool:
    """Does an operator treat every element alike, without drawing random numbers?"""
    if not isinstance(target, OpOverload) or torch.Tag.nondeterministic_seeded in target.tags:
        return False
    return target in UNTAGGED or torch.Tag.pointwise in target.tags


def _has_no_integers(node: Node) -> bool:
    """Floating or boolean: where nothing is known a zero stands, by which integers can not be divided."""
    value = node.meta.get("val")
    return isinstance(value, Tensor) and (value.is_floating_point() or value.dtype is torch.bool)


def aligned(sizes: Sequence[Any], rank: int) -> tuple[Any, ...]:
    """Sizes with ones in front, as broadcasting sees them."""
    return (1,) * (rank - len(sizes)) + tuple(sizes)


def link_to(operand: Node, node: Node, layout: tuple[int, ...], into: tuple[int, ...]) -> Link:
    """The operand's channels, broadcast to the layout of the value."""
    rank = len(into)
    index = positions(layout).reshape(aligned(layout, rank)).expand(into)
    repeated = [(mine, whole, size) for mine, whole, size in zip(
        aligned(layout, rank), into, aligned(g.shape(operand), rank), strict=True
    ) if mine != whole]  # fmt: skip
    pinned = any(not g.same(size, 1) for _, _, size in repeated)
    return Link(operand, index, coupled=not repeated, pinned=pinned)


def _evaluated(
    node: Node, known: Callable[[Node], Facts], layout: tuple[int, ...]
) -> tuple[Facts, list[tuple[Tensor, Tensor]]]:
    """Facts of the call, from running it on what is known of its operands; and those, in the order of arguments."""
    rank, operands = len(layout), []

    def one(n: Node) -> Tensor:
        if g.is_constant(n):
            constant, value = of_constant(g.constant(n), layout)
        else:
            facts = known(n)
            constant, value = (t.reshape(aligned(facts.layout, rank)) for t in (facts.constant, facts.value))
        operands.append((constant.expand(layout), value.expand(layout)))
        return value

    args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), one)
    result: Tensor = node.target(*args, **kwargs)  # type: ignore[operator]
    constant = torch.ones(layout, dtype=torch.bool)
    for known_here, _ in operands:
        constant = constant & known_here
    facts = settled(constant, result.expand(layout))
    if node.target is aten.mul.Tensor:
        by_zero = any(not isinstance(a, Node) and a == 0 for a in node.args)
        zero = torch.full(layout, by_zero)
        for known_here, value in operands:
            zero = zero | (known_here & (value == 0))
        facts = Facts(facts.constant | zero, torch.where(zero, 0.0, facts.value))
    return facts, operands


def of_constant(tensor: Tensor, layout: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """(is it one number in every channel, that number) of a constant operand, reduced to a layout of equal rank."""
    tensor = tensor.reshape(aligned(tensor.shape, len(layout)))
    narrow = [k for k, (have, want) in enumerate(zip(tensor.shape, layout, strict=True)) if want == 1 and have > 1]
    if not narrow:
        return torch.ones_like(tensor, dtype=torch.bool), tensor
    first = tensor
    for axis in narrow:
        first = first.narrow(axis, 0, 1)
    uniform = tensor == first
    return uniform.all(dim=narrow[0], keepdim=True) if len(narrow) == 1 else _all_over(uniform, narrow), first


def _all_over(uniform: Tensor, dims: list[int]) -> Tensor:
    for dim in dims:
        uniform = uniform.all(dim=dim, keepdim=True)
    return uniform


NEUTRAL: dict[Any, tuple[float | None, float]] = {
    aten.add.Tensor: (0.0, 0.0),
    aten.sub.Tensor: (None, 0.0),
    aten.mul.Tensor: (1.0, 1.0),
    aten.div.Tensor: (None, 1.0),
}
"""For x o y: the x that leaves y as it is (None: there is none), and the y that leaves x as it is."""


def _copies(node: Node, links: tuple[Link, ...], operands: list[tuple[Tensor, Tensor]]) -> tuple[Link, ...]:
    """Links where the other operand is neutral, so that the channel comes out unchanged."""
    neutral = NEUTRAL.get(node.target)
    if neutral is None or node.kwargs or len(node.args) != 2:
        return ()
    copies, seen = [], iter(operands)
    sides = [next(seen) if isinstance(a, Node) else _number(a) for a in node.args]
    if len(operands) < sum(isinstance(a, Node) for a in node.args):
        return ()
    for k, link in ((k, link) for k, a in enumerate(node.args) for link in links if link.operand is a):
        other, wanted = sides[1 - k], neutral[1 - k]
        if wanted is not None and other is not None and not link.pinned and _same_sizes(link.operand, node):
            is_neutral = other[0] & (other[1] == wanted)
            copies.append(Link(link.operand, torch.where(is_neutral, link.index, -1)))
    return tuple(copies)


def _number(argument: object) -> tuple[Tensor, Tensor] | None:
    if not is_number(argument):
        return None
    return torch.tensor(True), torch.tensor(float(argument), dtype=torch.float64)  # type: ignore[arg-type]


def _same_sizes(x: Node, y: Node) -> bool:
    return len(g.shape(x)) == len(g.shape(y)) and all(map(g.same, g.shape(x), g.shape(y)))
