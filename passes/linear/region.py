"""Regions: series-parallel expressions of linear operators with one input and one output."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from nascc.passes.linear.operator import Ints, Operator, Sizes
from nascc.passes.linear.pool import Averaging
from nascc.passes.linear.rearrange import PixelShuffle


@dataclass(frozen=True, eq=False)
class Leaf:
    """One operator of the original graph; `kind` is what a cost function knows it as (see `LinearOp`).

    One that `flattens` gives images of one pixel, and leaves the pixel's axes out: its values are vectors [N, C].
    """

    name: str
    operator: Operator | Averaging | PixelShuffle
    kind: str = "conv"
    flattens: bool = False


@dataclass(frozen=True, eq=False)
class Chain:
    """Parts one after the other, at least one."""

    parts: tuple["Expr", ...]


@dataclass(frozen=True, eq=False)
class Sum:
    """Branches with one input whose outputs are added."""

    parts: tuple["Expr", ...]


@dataclass(frozen=True, eq=False)
class Concat:
    """Branches with one input whose outputs are concatenated along the channels."""

    parts: tuple["Expr", ...]


Expr: TypeAlias = Leaf | Chain | Sum | Concat
IDENTITY, FLATTEN = "identity", "flatten"
"""Kinds, and names, of leaves that are no operators: the straight branch of a residual, and an image made a vector."""


@dataclass(frozen=True)
class Site:
    """Where an operator stands: the size of its input (as captured), which dimensions may change, and the rest.

    `smallest` bounds the dimensions that may change from below.
    """

    size: Ints
    dynamic: tuple[bool, ...] = ()
    smallest: Ints = ()
    batch: int = 1
    dtype: str = "float32"

    @property
    def known(self) -> Sizes:
        """The size with None where it may change."""
        dynamic = self.dynamic or (False,) * len(self.size)
        return tuple(None if d else n for n, d in zip(self.size, dynamic, strict=True))

    @property
    def bounds(self) -> Ints:
        """The smallest size each dimension may take."""
        dynamic = self.dynamic or (False,) * len(self.size)
        smallest = self.smallest or (1,) * len(self.size)
        return tuple(s if d else n for n, d, s in zip(self.size, dynamic, smallest, strict=True))

    def resized(self, size: Ints) -> "Site":
        """The same site with an image of another size."""
        return replace(self, size=size)

    def after(self, operator: Operator | Averaging) -> "Site":
        """The site of what follows `operator`."""
        if isinstance(operator, Averaging) and operator.operator is None:
            moving = (False,) * len(self.size) if operator.adaptive else self.dynamic
            return replace(self, size=operator.size, dynamic=moving, smallest=(1,) * len(operator.size))
        op = operator if isinstance(operator, Operator) else operator.operator
        assert op is not None
        size, smallest = op.out_size(self.size), op.out_size(self.bounds)
        return replace(self, size=tuple(n or 0 for n in size), smallest=tuple(max(1, n or 1) for n in smallest))


@dataclass(frozen=True, eq=False)
class Region:
    """An expression and where it stands; `tail` names what directly follows and a runtime may fuse."""

    expression: Expr
    site: Site
    tail: tuple[str, ...] = ()


def plain(operator: Operator | Averaging | PixelShuffle) -> Operator | None:
    """The convolution that an operator is, None where it is none."""
    return operator if isinstance(operator, Operator) else operator.operator


def leaves(expression: Expr) -> tuple[Leaf, ...]:
    """Every leaf, in order."""
    if isinstance(expression, Leaf):
        return (expression,)
    return tuple(leaf for part in expression.parts for leaf in leaves(part))


def flatten(expression: Expr) -> Expr:
    """The same expression, chains in chains, sums in sums and concats in concats dissolved, single parts unwrapped."""
    if isinstance(expression, Leaf):
        return expression
    kind = type(expression)
    parts: list[Expr] = []
    for part in map(flatten, expression.parts):
        parts.extend(part.parts if isinstance(part, kind) else (part,))
    return parts[0] if len(parts) == 1 else kind(tuple(parts))


def site_after(expression: Expr, site: Site) -> Site:
    """The site behind an expression."""
    if isinstance(expression, Leaf):
        operator = expression.operator
        return site.after(operator.operator if isinstance(operator, PixelShuffle) else operator)
    if isinstance(expression, Chain):
        for part in expression.parts:
            site = site_after(part, site)
        return site
    return site_after(expression.parts[0], site)


def channels_after(expression: Expr, channels: int) -> int:
    """Output channels of an expression fed with `channels`; only an average that is no convolution passes them on."""
    if isinstance(expression, Leaf):
        op = plain(expression.operator)
        return channels if op is None else op.c_out
    counts = []
    for part in expression.parts:
        counts.append(channels_after(part, channels))
        channels = counts[-1] if isinstance(expression, Chain) else channels
    return sum(counts) if isinstance(expression, Concat) else counts[-1]


def input_channels(expression: Expr) -> int:
    """Channels an expression reads; 0 when nothing in it fixes them."""
    if isinstance(expression, Leaf):
        op = plain(expression.operator)
        return 0 if op is None else op.c_in
    found = (input_channels(part) for part in expression.parts)
    return next((c for c in found if c), 0)


def is_flat(expression: Expr) -> bool:
    """Are its values vectors, though its input is an image?"""
    return leaves(expression)[-1].flattens


def flattened(site: Site) -> Site:
    """The same site for vectors."""
    return replace(site, size=(), dynamic=(), smallest=())


def identity_of(expression: Expr) -> tuple[object, ...]:
    """A key that is equal for expressions of the same leaves in the same structure."""
    if isinstance(expression, Leaf):
        return (id(expression),)
    return (type(expression).__name__, *map(identity_of, expression.parts))


def sites(parts: Sequence[Expr], site: Site) -> list[Site]:
    """The site of each part of a chain, and the one behind it."""
    found = [site]
    for part in parts:
        found.append(site_after(part, found[-1]))
    return found
