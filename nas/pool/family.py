"""Families of operators: one function, and the values that its parameters take."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from torch import nn

from nascc.nas.core import Ctx, Op

Build = Callable[..., nn.Module]


def everywhere(ctx: Ctx) -> bool:
    """An operator that can stand anywhere."""
    return True


@dataclass(frozen=True)
class Operator:
    """One operator of the pool; `fits` says where it can stand."""

    name: str
    build: Callable[[Ctx], nn.Module] = field(compare=False, repr=False)
    fits: Callable[[Ctx], bool] = field(compare=False, repr=False, default=everywhere)

    @property
    def op(self) -> Op:
        """As slots hold it."""
        return Op(self.name, self.build)


@dataclass(frozen=True)
class Family:
    """`build(ctx, **values)` for every combination of `grid`; names are `family_a1_b2`."""

    name: str
    build: Build = field(compare=False, repr=False)
    grid: Mapping[str, tuple[Any, ...]]
    fits: Callable[[Ctx], bool] = field(compare=False, repr=False, default=everywhere)

    def operators(self) -> Iterator[Operator]:
        """All of the family, in the order of the grid."""
        for values in product(*self.grid.values()):
            chosen = dict(zip(self.grid, values, strict=True))
            name = "_".join([self.name, *(f"{key}{value:g}" for key, value in chosen.items())])
            yield Operator(name, _Bound(self.build, chosen), self.fits)


@dataclass(frozen=True)
class _Bound:
    """A build function with its values: unlike a closure, it crosses to other processes."""

    build: Build
    values: dict[str, Any]

    def __call__(self, ctx: Ctx) -> nn.Module:
        return self.build(ctx, **self.values)


def family(fits: Callable[[Ctx], bool] = everywhere, **grid: tuple[Any, ...]) -> Callable[[Build], Family]:
    """Make a family of a function that builds an operator: its parameters after `ctx` are the keys of `grid`."""
    return lambda build: Family(build.__name__, build, grid, fits)
