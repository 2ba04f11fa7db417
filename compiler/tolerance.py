"""How far a deployed output may be from float64: a floor, or as far as the original itself goes, ten times."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nascc.compiler.errors import NotEquivalent
from nascc.compiler.reference import Reference, ReferenceRun
from nascc.compiler.rounding import noisy_outputs
from nascc.runtime.compare import Mask, OutputComparison, compare, compare_output, is_float
from nascc.runtime.runners.base import Array

FLOORS = {"float64": 1e-9, "float32": 1e-5, "float16": 5e-3, "bfloat16": 1e-2}
FACTOR = 10.0
LIMIT = 1e-2
TINY = 1e-3
TRIALS = 8


@dataclass(frozen=True, eq=False)
class Bound:
    """What one output may differ by on one sample.

    `own` is the relative error of the original in its own dtype, None where it was not run. `scale` is the least
    value that errors are divided by; where `excused` is true, the original itself is off and nothing is compared.
    """

    tolerance: float
    own: OutputComparison | None
    scale: float
    excused: Mask | None

    @property
    def is_ill_conditioned(self) -> bool:
        """Would a tolerance that the original passes itself be above the limit?"""
        return self.tolerance > LIMIT
