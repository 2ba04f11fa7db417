"""What every operator adds to the network among its neighbours, compiled for a deployment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from torch import fx

from nascc.nas.core import Ctx, Op, Slot
from nascc.nas.costs import Deployment
from nascc.nas.costs.describer import name_of
from nascc.nas.costs.description import Description
from nascc.nas.costs.metrics import Metric
from nascc.nas.costs.random_weights import randomise
from nascc.nas.costs.store import Store
from nascc.nas.hant.costing import Compiled, Costs, compiled_for
from nascc.nas.hant.students import captured_block
from nascc.nas.pool import IDENTITY, TEACHER
from nascc.nas.regions import Neighbourhood, RegionSpace, neighbourhoods

Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Row:
    """A block for a deployment: its neighbourhood compiled with each operator of its slot, and the block alone."""

    held: tuple[Compiled, ...]
    alone: Compiled
    identity: int | None

    def costs(self, metric: Metric) -> tuple[float, ...]:
        """What each operator adds to the network, see `added`."""
        return added([metric.of(*one) for one in self.held], metric.of(*self.alone), self.identity)


def added(held: Sequence[float], alone: float, identity: int | None) -> tuple[float, ...]:
    """What operators add to a network, from what their neighbourhood costs with each of them, the teacher's own first.

    Differences are those of the neighbourhoods. Where nothing at all can stand it adds nothing; elsewhere the teacher's
    block adds what it costs alone.
    """
    nothing = held[0] - alone if identity is None else held[identity]
    return tuple(cost - nothing for cost in held)


@dataclass(frozen=True)
class Pieces:
    """All blocks, and the whole teacher, compiled for a deployment."""

    rows: tuple[Row, ...]
    whole: Compiled

    def costs(self, metric: Metric) -> Costs:
        """The table of a metric; what the teacher costs besides its blocks is the constant."""
        table = tuple(row.costs(metric) for row in self.rows)
        teacher = metric.whole(*self.whole)
        return Costs(metric.name, table, teacher - sum(row[0] for row in table), teacher)


def describe_pieces(
    space: RegionSpace, place: Deployment, folder: Path | None = None, told: Told | None = None
) -> Pieces:
    """Compile every operator among its neighbours, equal ones once, and the teacher; what is in `folder` is not again.

    Raises CompileError, OSError.
    """
    compiler, done, total = _Compiler(place, Store(place.identity, folder)), count(1), sum(space.choices)
    tell = (lambda: None) if told is None else lambda: told(next(done), total)
    with compiler.store.saving():
        around = neighbourhoods(space.teacher, place.batch)
        rows = tuple(compiler.row(space, slot, one, tell) for slot, one in enumerate(around))
    return Pieces(rows, compiled_for(space.teacher.at_batch(place.batch), place))


@dataclass(frozen=True)
class _Compiler:
    """Compiles graphs that the store does not know."""

    place: Deployment
    store: Store

    def row(self, space: RegionSpace, slot: int, around: Neighbourhood, tell: Callable[[], None]) -> Row:
        """A block with every operator of its slot; `tell` hears of each."""
        ctx, own = space.contexts[slot], space.slots[slot]
        held = [self.compiled(f"{around.key} {TEACHER}", lambda: around.graph)]
        for op in own.ops[1:]:
            tell()
            key = f"{around.key} {name_of((op, ctx))}"
            held.append(self.compiled(key, partial(holding, around, op, ctx, self.place.batch)))
        return Row(tuple(held), self.compiled(f"{around.key} alone", lambda: around.alone), identity_of(own))

    def compiled(self, key: str, make: Callable[[], fx.GraphModule]) -> Compiled:
        """What a graph, made where it is needed, compiles to. Raises CompileError."""
        found = self.store.get(key)
        if found is None:
            found = Description(*compiled_for(make(), self.place))
            self.store.put(key, found)
        return found.kernels, found.params


def holding(around: Neighbourhood, op: Op, ctx: Ctx, batch: int) -> fx.GraphModule:
    """A neighbourhood with an operator in place of its block; weights are random: costs do not depend on them."""
    return around.holding(captured_block(randomise(op.make(ctx)), ctx, batch))


def identity_of(slot: Slot) -> int | None:
    """The operator of a slot that is nothing at all, where its shapes allow one."""
    return slot.names.index(IDENTITY) if IDENTITY in slot.names else None
