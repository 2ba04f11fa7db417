"""A region left as it stands: the operators it runs and what they cost, against which every plan is judged."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nascc.passes.linear.cost import Cost
from nascc.passes.linear.describe import Tail, describe_join, describe_leaf
from nascc.passes.linear.description import LinearOp
from nascc.passes.linear.operator import Refusal
from nascc.passes.linear.plan import Join, Planned, Row, Segment
from nascc.passes.linear.region import Chain, Concat, Expr, Leaf, Site, Sum, channels_after, site_after


@dataclass(frozen=True)
class Place:
    """Where an expression stands, how many channels feed it, and what directly follows."""

    site: Site
    channels: int
    tail: Tail = ()

    def after(self, part: Expr) -> "Place":
        """The place behind an expression."""
        return replace(self, site=site_after(part, self.site), channels=channels_after(part, self.channels))


@dataclass(frozen=True, eq=False)
class Found:
    """A planned expression: what it runs, and what that costs."""

    node: Planned
    ops: tuple[LinearOp, ...]
    cost: float


def keep(part: Expr, place: Place, cost: Cost) -> Found:
    """Every leaf as it is."""
    if isinstance(part, Leaf):
        ops = describe_leaf(part, place.channels, place.site, place.tail)
        price = cost(ops) if ops else 0.0
        return Found(Segment(part, place.site, None, ops, ops, price, price), ops, price)
    if isinstance(part, Chain):
        found = [keep(p, at, cost) for p, at in zip(part.parts, places(part.parts, place), strict=True)]
        return total(Row(tuple(f.node for f in found)), found)
    inner = replace(place, tail=())
    return joined(part, [keep(p, inner, cost) for p in part.parts], place, cost)


def places(parts: Sequence[Expr], place: Place) -> list[Place]:
    """The place of each part of a chain; the tail follows the last one only."""
    found = [replace(place, tail=())]
    for part in parts[:-1]:
        found.append(found[-1].after(part))
    found[-1] = replace(found[-1], tail=place.tail)
    return found


def joined(part: Sum | Concat, groups: Sequence[Found], place: Place, cost: Cost, why: Refusal | None = None) -> Found:
    """Groups of the branches of `part`, and what adds or concatenates them."""
    kind = "sum" if isinstance(part, Sum) else "concat"
    behind = place.after(part)
    joins = describe_join(kind, behind.channels, len(groups), behind.site, place.tail)
    found = total(Join(kind, tuple(g.node for g in groups), why), groups)
    return replace(found, ops=found.ops + joins, cost=found.cost + (cost(joins) if joins else 0.0))


def total(node: Planned, founds: Sequence[Found]) -> Found:
    """Several planned expressions as one."""
    ops = tuple(op for found in founds for op in found.ops)
    return Found(node, ops, sum(found.cost for found in founds))
