"""The cheapest plan of a region: a dynamic program over the cuts of its chains and the groups of its branches."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from nascc.passes.linear.compose import Repair
from nascc.passes.linear.cost import Cost
from nascc.passes.linear.cuts import Score, cheapest_cuts, cheapest_groups
from nascc.passes.linear.describe import Tail, describe_join, describe_leaf
from nascc.passes.linear.description import LinearOp
from nascc.passes.linear.forms import Form, build, describe_steps, forms
from nascc.passes.linear.fuse import Fuser
from nascc.passes.linear.operator import Refusal
from nascc.passes.linear.plan import Join, Mode, Plan, Planned, Row, Segment, join_kind, row_of
from nascc.passes.linear.region import Chain, Concat, Expr, Leaf, Region, Site, Sum
from nascc.passes.linear.region import channels_after, flatten, input_channels, leaves, site_after, sites

FEW = 8
"""Up to so many branches of a sum every grouping is tried; of more only neighbours are merged."""


@dataclass(frozen=True)
class Place:
    """Where an expression stands, how many channels feed it, and what directly follows."""

    site: Site
    channels: int
    tail: Tail = ()


@dataclass(frozen=True, eq=False)
class Found:
    """A planned expression: what it runs, what that costs, how many operators of its own it has."""

    node: Planned
    ops: tuple[LinearOp, ...]
    cost: float
    count: int


def plan(region: Region, cost: Cost, mode: Mode = Mode.AUTO) -> Plan:
    """The plan of least total cost; the costs of segments add up.

    Each chain is cut wherever that is cheapest, the branches of each sum and concat are merged in the groups that are
    cheapest, collapsed before they merge, and every piece takes its cheapest legal form.
    """
    region = replace(region, expression=flatten(region.expression))
    place = Place(region.site, input_channels(region.expression), region.tail)
    before, after = (_Planner(cost, m).best(region.expression, place) for m in (Mode.NEVER, mode))
    return Plan(region, mode, after.node, before.cost, after.cost)


@dataclass(frozen=True)
class _Planner:
    cost: Cost
    mode: Mode
    fuser: Fuser = field(default_factory=lambda: Fuser(outlines=True))
    known: dict[tuple[int, Place], Found] = field(default_factory=dict)
    merged: dict[tuple[type, tuple[int, ...], Place], Found | Refusal] = field(default_factory=dict)
    kept_alive: list[Expr] = field(default_factory=list)

    def best(self, part: Expr, place: Place) -> Found:
        """The best plan of an expression."""
        key = (id(part), place)
        if key not in self.known:
            plan_of = self._leaf if isinstance(part, Leaf) else self._chain if isinstance(part, Chain) else self._fork
            self.known[key] = plan_of(part, place)  # type: ignore[operator]
        return self.known[key]

    def _leaf(self, leaf: Leaf, place: Place) -> Found:
        ops = describe_leaf(leaf, place.channels, place.site, place.tail)
        cost = self._cost(ops)
        return Found(Segment(leaf, place.site, None, ops, ops, cost, cost), ops, cost, len(ops))

    def _chain(self, chain: Chain, place: Place) -> Found:
        parts, places = chain.parts, _places(chain.parts, place)
        cuts = cheapest_cuts(len(parts), lambda i, j: self._score(self._piece(Chain, parts[i:j], places[i][j - i])))
        pieces = [_legal(self._piece(Chain, parts[i:j], places[i][j - i])) for i, j in cuts]
        nodes = [pieces[0].node]
        for (i, j), (k, end), found in zip(cuts, cuts[1:], pieces[1:], strict=False):
            apart = sum(self._cost_of(parts[a:b], places[a][b - a]) for a, b in ((i, j), (k, end)))
            nodes.append(_with_reason(found.node, self._why(Chain, parts[i:end], places[i][end - i], apart)))
        return self._together(Row(tuple(nodes)) if len(nodes) > 1 else nodes[0], pieces)

    def _fork(self, part: Sum | Concat, place: Place) -> Found:
        kind, parts = type(part), part.parts
        inner = replace(place, tail=())
        one_more = self._join_score(part, 2, place) if isinstance(part, Sum) else (0.0, 0.0)

        def score(members: Sequence[int]) -> Score | None:
            found = self._score(self._piece(kind, tuple(parts[k] for k in members), inner))
            return None if found is None else (found[0] + one_more[0], found[1] + one_more[1])

        if isinstance(part, Sum) and len(parts) <= FEW and self.mode is not Mode.NEVER:
            groups = cheapest_groups(len(parts), score)
        else:
            groups = [tuple(range(i, j)) for i, j in cheapest_cuts(len(parts), lambda i, j: score(range(i, j)))]
        apart = self._apart(part, [tuple(parts[k] for k in group) for group in groups], inner, place)
        whole = self._piece(kind, parts, place)
        return apart if isinstance(whole, Refusal) or self._key(whole) > self._key(apart) else whole
