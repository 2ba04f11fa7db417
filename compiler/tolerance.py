"""How far a deployed output may be from float64: a floor, or ten times as far as the original itself is."""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from nascc.compiler.reference import Reference, ReferenceRun
from nascc.runtime.compare import Mask, OutputComparison, compare_output, is_float
from nascc.runtime.runners.base import Array

FLOORS = {"float64": 1e-9, "float32": 1e-5, "float16": 5e-3, "bfloat16": 1e-2}
"""Relative errors that are never asked to be smaller, by the dtype that is deployed."""
FACTOR = 10.0
"""A deployed output may be this many times as far from float64 as the original."""
LIMIT = 1e-2
"""A network that needs a larger tolerance is reported as ill-conditioned."""
TINY = 1e-3
"""On zeros and large values, errors are relative to at least this part of the usual size: less is what cancels."""


@dataclass(frozen=True, eq=False)
class Bound:
    """What one output may differ by on one sample.

    `own` compares the original in its own dtype with float64, None where it was not run. `scale` is the least value
    that errors are divided by. Where `excused` is true nothing is compared: there the original overflows, or rounding
    alone decides about an integer.
    """

    tolerance: float
    own: OutputComparison | None
    scale: float
    excused: Mask | None

    @property
    def own_error(self) -> float:
        """The relative error of the original; 0 where it was not run."""
        return 0.0 if self.own is None or self.own.max_rel is None else self.own.max_rel

    @property
    def is_ill_conditioned(self) -> bool:
        """Does the original itself need more than the limit?"""
        return self.tolerance > LIMIT


Bounds: TypeAlias = tuple[Bound, ...]


def bounds_of(reference: Reference) -> tuple[Bounds, ...]:
    """The bound of every output (inner) on every run (outer).

    The original's error on the usual samples counts on all of them; its error on zeros and large values counts there.
    """
    scales = [TINY * _usual_size(reference, i) for i in range(len(reference.names))]
    found = [tuple(_own_bound(reference, run, i, scale) for i, scale in enumerate(scales)) for run in reference.runs]
    usual = [bounds for run, bounds in zip(reference.runs, found, strict=True) if run.sample.is_usual]
    least = [max((bounds[i].tolerance for bounds in usual), default=0.0) for i in range(len(scales))]
    return tuple(
        tuple(replace(b, tolerance=max(b.tolerance, t)) for b, t in zip(bounds, least, strict=True)) for bounds in found
    )


def floor_of(dtype: np.dtype[np.generic]) -> float:
    """The smallest tolerance for outputs of a dtype; 0 for integers, which must be equal."""
    return FLOORS.get(dtype.name, 0.0)


def _usual_size(reference: Reference, i: int) -> float:
    """The largest finite absolute value of an output, on the usual sample where that is smallest."""
    usual = [run.exact[i].astype(np.float64) for run in reference.runs if run.sample.is_usual]
    return min((float(np.abs(v[np.isfinite(v)]).max(initial=0.0)) for v in usual), default=0.0)


def _own_bound(reference: Reference, run: ReferenceRun, i: int, scale: float) -> Bound:
    dtype = reference.dtypes[i]
    scale = 0.0 if run.sample.is_usual else scale
    if run.own is None:
        return Bound(floor_of(dtype), None, scale, None)
    excused = unlike(run.exact[i], run.own[i])
    own = compare_output(reference.names[i], run.exact[i], run.own[i], LIMIT, dtype=dtype, scale=scale, excused=excused)
    if not is_float(dtype):
        return Bound(0.0, own, scale, excused)
    return Bound(max(floor_of(dtype), FACTOR * (own.max_rel or 0.0)), own, scale, excused)


def unlike(exact: Array, other: Array) -> Mask | None:
    """Where integers differ, or one side is finite and the other is not; None where that is nowhere."""
    if exact.shape != other.shape:
        return None
    if is_float(exact.dtype):
        a, b = exact.astype(np.float64), other.astype(np.float64)
        odd = (np.isfinite(a) != np.isfinite(b)) | (np.isnan(a) != np.isnan(b))
    else:
        odd = exact != other
    return np.asarray(odd) if np.any(odd) else None
