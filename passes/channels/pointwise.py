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
from nascc.passes.channels.selection import SIDES, Operand, taken

aten = torch.ops.aten
UNTAGGED = (aten.hardswish.default, aten.log_sigmoid.default, aten._to_copy.default, *SIDES)
"""Pointwise operators that torch does not tag as such."""

Operands = dict[Node, Operand]


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


def _evaluated(node: Node, known: Callable[[Node], Facts], layout: tuple[int, ...]) -> tuple[Facts, Operands]:
    """Facts of the call, from running it on what is known of its operands; and those."""
    operands = {n: _operand(n, known, layout) for n in node.all_input_nodes}
    args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: _as_argument(n, operands[n][1]))
    result: Tensor = node.target(*args, **kwargs)  # type: ignore[operator]
    constant = torch.ones(layout, dtype=torch.bool)
    for known_here, _ in operands.values():
        constant = constant & known_here
    for side, channels in taken(node, operands):
        constant = constant | (channels & (operands[side][0] if isinstance(side, Node) else True))
    facts = settled(constant, result.expand(layout))
    if node.target is aten.mul.Tensor:
        by_zero = any(not isinstance(a, Node) and a == 0 for a in node.args)
        zero = torch.full(layout, by_zero)
        for known_here, value in operands.values():
            zero = zero | (known_here & (value == 0))
        facts = Facts(facts.constant | zero, torch.where(zero, 0.0, facts.value))
    return facts, operands


def _operand(n: Node, known: Callable[[Node], Facts], layout: tuple[int, ...]) -> Operand:
    if g.is_constant(n):
        constant, value = of_constant(g.constant(n), layout)
    else:
        facts = known(n)
        constant, value = (t.reshape(aligned(facts.layout, len(layout))) for t in (facts.constant, facts.value))
    return constant.expand(layout), value.expand(layout)


def _as_argument(n: Node, value: Tensor) -> Tensor:
    """A number that an operator takes as a tensor of rank 0 must stay one."""
    return value.reshape(-1)[0] if not g.shape(n) else value


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


def _copies(node: Node, links: tuple[Link, ...], operands: Operands) -> tuple[Link, ...]:
    """Links to the side that a selection takes, or where the other operand is neutral: the channel is unchanged."""
    unchanged = [*taken(node, operands), *_beside_neutral(node, operands)]
    same = {link.operand: link for link in links if not link.pinned and _same_sizes(link.operand, node)}
    return tuple(Link(x, torch.where(where, same[x].index, -1)) for x, where in unchanged if x in same)


def _beside_neutral(node: Node, operands: Operands) -> list[tuple[Any, Tensor]]:
    neutral = NEUTRAL.get(node.target)
    if neutral is None or node.kwargs or len(node.args) != 2:
        return []
    sides = [operands[a] if isinstance(a, Node) else _number(a) for a in node.args]
    pairs = zip(node.args, reversed(sides), reversed(neutral), strict=True)
    return [(x, side[0] & (side[1] == w)) for x, side, w in pairs if side is not None and w is not None]


def _number(argument: object) -> tuple[Tensor, Tensor] | None:
    if not is_number(argument):
        return None
    return torch.tensor(True), torch.tensor(float(argument), dtype=torch.float64)  # type: ignore[arg-type]


def _same_sizes(x: Node, y: Node) -> bool:
    return len(g.shape(x)) == len(g.shape(y)) and all(map(g.same, g.shape(x), g.shape(y)))
