"""Which operators a run chooses among, and where each can stand."""

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from nascc.nas.core import Ctx
from nascc.nas.errors import SearchError
from nascc.nas.pool.family import Operator
from nascc.nas.pool.registry import POOL, TOY

TEACHER, IDENTITY = "teacher", "identity"
SETS = {"all": ("*",), "toy": tuple(TOY)}


def identity(ctx: Ctx) -> nn.Module:
    """Nothing; legal where the shape is kept only."""
    return nn.Identity()


def choose(names: Sequence[str], pool: Sequence[Operator] = POOL) -> tuple[Operator, ...]:
    """The operators of names, patterns like `efn_*`, or the sets `all` and `toy`; in the order of the pool.

    The identity is always among them. Raises SearchError with the near matches of a name that is none.
    """
    patterns = [pattern for name in names for pattern in SETS.get(name, (name,)) if pattern != IDENTITY]
    known = [operator.name for operator in pool]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            near = difflib.get_close_matches(pattern, known) or [*SETS, *known[:3]]
            raise SearchError(f"an operator must be one of the pool, got '{pattern}': try {', '.join(near)}")
    chosen = [operator for operator in pool if any(fnmatchcase(operator.name, pattern) for pattern in patterns)]
    return (Operator(IDENTITY, identity, lambda ctx: ctx.keeps_shape), *chosen)


def operators_of(ctx: Ctx, chosen: Sequence[Operator]) -> tuple[Operator, ...]:
    """Those that can stand at a place."""
    return tuple(operator for operator in chosen if operator.fits(ctx))
