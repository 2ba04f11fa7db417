"""The cheapest plan of a region: a dynamic program over the cuts of its chains and the groups of its branches."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import isclose
from typing import TypeAlias

from nascc.passes.linear.compose import Repair
from nascc.passes.linear.cost import Cost
from nascc.passes.linear.cuts import Score, cheapest_cuts, cheapest_groups
from nascc.passes.linear.deploy import EXACT
from nascc.passes.linear.describe import describe_join
from nascc.passes.linear.description import LinearOp, operator_count
from nascc.passes.linear.flatten import flatten_image
from nascc.passes.linear.forms import build, describe_steps, forms
from nascc.passes.linear.fuse import Fuser
from nascc.passes.linear.keep import Found, Place, joined, keep, places, total
from nascc.passes.linear.operator import Dear, Operator, Refusal
from nascc.passes.linear.plan import Mode, Plan, Row, Segment, row_of
from nascc.passes.linear.region import (
    Chain,
    Concat,
    Expr,
    Leaf,
    Region,
    Sum,
    flatten,
    identity_of,
    input_channels,
    is_flat,
    leaves,
)

Kind: TypeAlias = type[Chain] | type[Sum] | type[Concat]
FEW = 8
"""Up to so many branches of a sum every grouping is tried; of more only neighbours are merged."""


def plan(region: Region, cost: Cost, mode: Mode = Mode.AUTO, least_gain: float = 0.0) -> Plan:
    """The plan of least total cost; the costs of segments add up.

    Each chain is cut wherever that is cheapest, the branches of each sum and concat are merged in the groups that are
    cheapest, collapsed before they merge, and every piece takes its cheapest legal form. In mode auto a piece that
    needs a correction at its border is replaced where that saves more than the share `least_gain` of its cost.
    """
    region = replace(region, expression=flatten(region.expression))
    place = Place(region.site, input_channels(region.expression), region.tail)
    kept = keep(region.expression, place, cost)
    found = kept if mode is Mode.NEVER else _Planner(cost, mode, least_gain).best(region.expression, place)
    return Plan(region, mode, found.node, kept.cost, found.cost)


@dataclass(frozen=True)
class _Planner:
    """One search; results are kept by expression and place."""

    cost: Cost
    mode: Mode
    least_gain: float = 0.0
    fuser: Fuser = field(default_factory=lambda: Fuser(outlines=True))
    planned: dict[object, Found] = field(default_factory=dict)
    merged: dict[object, Found | Refusal] = field(default_factory=dict)

    def best(self, part: Expr, place: Place) -> Found:
        """The best plan of an expression."""
        key = (identity_of(part), place)
        if key not in self.planned:
            self.planned[key] = self._plan(part, place)
        return self.planned[key]

    def _plan(self, part: Expr, place: Place) -> Found:
        if isinstance(part, Leaf):
            return keep(part, place, self.cost)
        return self._chain(part, place) if isinstance(part, Chain) else self._fork(part, place)

    def _chain(self, chain: Chain, place: Place) -> Found:
        parts, at = chain.parts, places(chain.parts, place)

        def piece(i: int, j: int) -> Found | Refusal:
            return self._merge(Chain, parts[i:j], replace(at[i], tail=place.tail if j == len(parts) else ()))

        cuts = cheapest_cuts(len(parts), lambda i, j: self._score(piece(i, j)))
        found = [_legal(piece(i, j)) for i, j in cuts]
        if len(found) == 1:
            return found[0]
        neighbours = zip(cuts, cuts[1:], found, found[1:], strict=False)
        why = tuple(_why(piece(i, end), a.cost + b.cost) for (i, _), (_, end), a, b in neighbours)
        return total(Row(tuple(f.node for f in found), why), found)

    def _fork(self, part: Sum | Concat, place: Place) -> Found:
        parts, kind, inner = part.parts, type(part), replace(place, tail=())

        def piece(members: Sequence[int]) -> Found | Refusal:
            return self._merge(kind, tuple(parts[k] for k in members), inner)

        def score(members: Sequence[int]) -> Score | None:
            found = self._score(piece(members))
            return None if found is None else tuple(a + b for a, b in zip(found, extra, strict=True))

        extra = self._price_of_addition(part, place)
        groups = self._groups(part, inner, score)
        whole = self._merge(kind, parts, place)
        if len(groups) == 1:
            return whole if isinstance(whole, Found) else _legal(piece(groups[0]))
        chosen = [_legal(piece(group)) for group in groups]
        apart = joined(part, chosen, place, self.cost)
        if isinstance(whole, Found) and self._key(whole) <= self._key(apart):
            return whole
        return joined(part, chosen, place, self.cost, _why(whole, apart.cost))

    def _groups(
        self, part: Sum | Concat, place: Place, score: Callable[[Sequence[int]], Score | None]
    ) -> list[tuple[int, ...]]:
        """The cheapest groups of branches; of a concat, and where there are many, of neighbours only."""
        alike = self._alike(part, place) if isinstance(part, Sum) else []
        units = [unit for unit in alike if score(unit) is not None]
        units += [(k,) for k in range(len(part.parts)) if not any(k in unit for unit in units)]
        units.sort()

        def joint(members: Sequence[int]) -> tuple[int, ...]:
            return tuple(sorted(k for unit in members for k in units[unit]))

        if isinstance(part, Sum) and len(units) <= FEW:
            found = cheapest_groups(len(units), lambda members: score(joint(members)))
        else:
            cuts = cheapest_cuts(len(units), lambda i, j: score(joint(range(i, j))))
            found = [tuple(range(i, j)) for i, j in cuts]
        return [joint(members) for members in found]

    def _alike(self, part: Sum | Concat, place: Place) -> list[tuple[int, ...]]:
        """Branches of one operator each that differ in their numbers only: together they cost what one of them does."""
        found: dict[LinearOp, list[int]] = {}
        for k, branch in enumerate(part.parts):
            if isinstance(branch, Leaf) and len(ops := self.best(branch, place).ops) == 1:
                found.setdefault(replace(ops[0], bias=False), []).append(k)
        return [tuple(members) for members in found.values() if len(members) > 1]

    def _price_of_addition(self, part: Sum | Concat, place: Place) -> Score:
        """What one more group of a sum adds to the score; a concat costs the same for any number of groups."""
        behind = place.after(part)
        ops = describe_join("sum", behind.channels, 2, behind.site) if isinstance(part, Sum) else ()
        return self._order(self.cost(ops) if ops else 0.0, ops)

    def _merge(self, kind: Kind, parts: tuple[Expr, ...], place: Place) -> Found | Refusal:
        """Parts joined in their cheapest form other than standing as they are; a single part in its best plan."""
        if len(parts) == 1:
            return self.best(parts[0], place)
        key = (kind.__name__, tuple(map(identity_of, parts)), place)
        if key not in self.merged:
            self.merged[key] = self._collapse(kind(parts), place)
        return self.merged[key]

    def _collapse(self, part: Expr, place: Place) -> Found | Refusal:
        kept, row = keep(part, place, self.cost), row_of(part)
        found: list[Found] = []
        why: Refusal | None = None
        for form in forms(self.fuser, row, place.site):
            steps = build(self.fuser, row, place.site, form)
            if isinstance(steps, Refusal):
                continue
            ops = describe_steps(steps, place.channels, place.site, place.tail)
            if (grown := self._grows(part, kept.ops, ops)) is not None:
                why = grown
                continue
            cost = self.cost(ops)
            found.append(Found(Segment(part, place.site, form, kept.ops, ops, kept.cost, cost), ops, cost))
        if not found:
            return why or self._refusal(row, place)
        best = min(found, key=self._key)
        return best if self._gains(best, kept) else Dear(_compared(best.cost, kept.cost))

    def _refusal(self, row: Sequence[Expr], place: Place) -> Refusal:
        """Why a row has no form, should it have none."""
        for repair in (Repair.ONES, Repair.NONE):
            fused = self.fuser.fuse_row(row, place.site.known, repair)
            whole = (
                flatten_image(fused, place.site.known) if isinstance(fused, Operator) and is_flat(row[-1]) else fused
            )
            if isinstance(whole, Refusal):
                return whole
        return Refusal(
            "the border correction fits neither a map, for sizes may change, nor a channel, for there are groups"
        )

    def _key(self, found: Found) -> Score:
        return self._order(found.cost, found.ops)

    def _order(self, cost: float, ops: tuple[LinearOp, ...]) -> Score:
        calls = float(len(ops))
        return (float(operator_count(ops)), calls, cost) if self.mode is Mode.ALWAYS else (cost, calls)

    def _gains(self, found: Found, kept: Found) -> bool:
        """Is a form better than what stands, by more than rounding? Else it would be rewritten for ever."""
        assert isinstance(found.node, Segment)
        wanted = self.least_gain if found.node.fix != EXACT else 0.0
        if self.mode is Mode.AUTO and found.cost > kept.cost * (1 - wanted):
            return False
        for new, old in zip(self._key(found), self._key(kept), strict=True):
            if not isclose(new, old, rel_tol=1e-9):
                return new < old
        return False

    def _grows(self, part: Expr, before: tuple[LinearOp, ...], after: tuple[LinearOp, ...]) -> Refusal | None:
        """Linear layers collapse only when that takes fewer parameters: they are read once for each image.

        In mode always they may grow, but not by the pixels of a flattened image.
        """
        if not any(leaf.flattens or (leaf.kind == "linear" and self.mode is Mode.AUTO) for leaf in leaves(part)):
            return None
        old, new = (sum(op.params for op in ops) for ops in (before, after))
        return Dear(f"linear layers would grow from {old} to {new} parameters") if new > old else None

    def _score(self, found: Found | Refusal) -> Score | None:
        return None if isinstance(found, Refusal) else self._key(found)


def _legal(found: Found | Refusal) -> Found:
    assert isinstance(found, Found), "a search never takes a forbidden piece"
    return found


def _why(together: Found | Refusal, apart: float) -> Refusal:
    return together if isinstance(together, Refusal) else Dear(_compared(together.cost, apart))


def _compared(together: float, apart: float) -> str:
    return f"{together:.4g} together, {apart:.4g} apart"
