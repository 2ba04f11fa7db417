"""The pool: every operator that may take the place of a block."""

from nascc.nas.pool.choose import IDENTITY, TEACHER, choose, operators_of
from nascc.nas.pool.family import Family, Operator
from nascc.nas.pool.registry import POOL, TOY

__all__ = ["IDENTITY", "POOL", "TEACHER", "TOY", "Family", "Operator", "choose", "operators_of"]
