"""Describe operators: capture, compile, count kernels; each distinct one once."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from torch import nn

from nascc.compiler.compile import compile
from nascc.nas.core.context import Ctx
from nascc.nas.core.slot import Op
from nascc.nas.costs.borders import end_of, is_identity, is_through, start_of
from nascc.nas.costs.deployment import Deployment
from nascc.nas.costs.description import Description, meeting
from nascc.nas.costs.random_weights import randomise
from nascc.nas.costs.store import Store
from nascc.passes import graph as g

Piece = tuple[Op, Ctx]
"""An operator and where it stands."""


class Describer:
    """Describes pieces of networks for one deployment; with a `folder` they are kept there for later runs."""

    def __init__(self, deployment: Deployment, folder: Path | None = None) -> None:
        self.deployment = deployment
        self.store = Store(deployment.identity, folder)
        self.compiled = 0
        """How many pieces were compiled so far, and not remembered."""

    def operator(self, op: Op, ctx: Ctx) -> Description:
        """The description of one operator, borders included. Raises CompileError, OSError."""
        key = name_of((op, ctx))
        return self.store.get(key) or self._describe([(op, ctx)], key)

    def chain(self, pieces: Sequence[Piece]) -> Description:
        """The description of neighbours compiled together.

        Pieces that meet as others did before have these others' description: what counts is the difference from
        `apart`, which is the same. Raises CompileError, OSError.
        """
        key = self.key_of(pieces)
        return self.store.get(key) or self._describe(pieces, key)

    def apart(self, chain: Description) -> tuple[Description, ...]:
        """The operators that a chain was compiled from, each alone."""
        found = [self.store.get(name) for name in chain.pieces]
        return tuple(description for description in found if description is not None)

    def key_of(self, pieces: Sequence[Piece]) -> str:
        """What decides how pieces act on each other: equal keys, equal differences."""
        names = [name_of(piece) for piece in pieces]
        if len(pieces) != 2:
            return " | ".join(names)
        first, second = (self.operator(*piece) for piece in pieces)
        return meeting(first, second, (names[0], names[1]))

    def saving(self) -> AbstractContextManager[None]:
        """Write what is new at the end, also after an error. Raises OSError."""
        return self.store.saving()

    def _describe(self, pieces: Sequence[Piece], key: str) -> Description:
        self.compiled += 1
        module = randomise(nn.Sequential(*(op.make(ctx) for op, ctx in pieces)))
        place = self.deployment
        shapes = [place.shape(pieces[0][1].shape)]
        found = compile(
            module,
            shapes=shapes,
            target=place.target,
            power_mode=place.power_mode,
            collapse=place.collapse,
            verify=False,
            lower=False,
        )
        kernels, params = place.kernels(found.graph), g.parameter_count(found.graph)
        if len(pieces) > 1:
            description = Description(kernels, params, pieces=tuple(map(name_of, pieces)))
        elif is_identity(found.graph):
            description = Description((), 0, identity=True)
        else:
            before, after = found.captured.gm, found.graph
            borders = start_of(before, after), end_of(before, after)
            description = Description(
                kernels, params, through=is_through(before, after), start=borders[0], end=borders[1]
            )
        self.store.put(key, description)
        return description


def name_of(piece: Piece) -> str:
    """An operator and its context as a text: `k3e6 16x12x12 -> 24 /2 relu6`."""
    op, ctx = piece
    return f"{op.name} {'x'.join(map(str, ctx.shape))} -> {ctx.c_out} /{ctx.stride} {ctx.activation}"
