"""Tell rounding from error, where a network amplifies rounding: by running it in float64 with noise."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nascc.compiler.errors import NotEquivalent
from nascc.compiler.reference import Reference, ReferenceRun
from nascc.compiler.rounding import noisy_outputs
from nascc.compiler.tolerance import FACTOR, LIMIT, Bound, Bounds, unlike
from nascc.runtime.compare import Mask, compare_output, is_float
from nascc.runtime.runners.base import Array

TRIALS = 8
JITTER = 1e-9
"""Zeros tie, and rounding does not move them: this much noise on the input shows which integers a tie decides."""
NOISE_FACTOR = 1.25
"""Noise of eight units in the last place, times this, is what ten times the original's own error would be."""


def check_capture(reference: Reference, bounds: Sequence[Bounds]) -> None:
    """Raise NotEquivalent when the original is farther from its captured graph than rounding explains.

    Only where the original seems ill-conditioned: its own error must not become the tolerance of a graph that computes
    something else.
    """
    for run, found in zip(reference.runs, bounds, strict=True) if reference.graph is not None else ():
        suspects = [i for i, bound in enumerate(found) if _is_suspect(bound, run)]
        if not suspects:
            continue
        trials = _trials(reference, run)
        for i in suspects:
            if not _is_explained(found[i], run.exact[i], [trial[i] for trial in trials]):
                raise NotEquivalent(
                    f"the captured graph must compute what the original computes, but {_difference(found[i])} on "
                    f"{run.sample.label}, more than rounding explains; fix the sizes that are dynamic, and report this"
                )


def _is_suspect(bound: Bound, run: ReferenceRun) -> bool:
    if bound.own is None:
        return False
    if bound.own.max_rel is None or FACTOR * bound.own.max_rel > LIMIT:
        return True
    return bound.excused is not None and run.sample.kind != "large"


def _is_explained(bound: Bound, exact: Array, trials: Sequence[Array]) -> bool:
    assert bound.own is not None
    if bound.own.max_rel is None:
        return False
    if bound.excused is not None:
        explained = np.count_nonzero(bound.excused & unstable(exact, trials))
        if explained * 2 < np.count_nonzero(bound.excused):
            return False
    return bound.own.max_rel <= max(LIMIT / FACTOR, FACTOR * spread(exact, trials, bound.scale))


def _difference(bound: Bound) -> str:
    own = bound.own
    if own is None or own.max_rel is None:
        return f"output '{own.name if own else ''}' has another form ({own.reason if own else ''})"
    where = f", and {own.excused} of its values in being finite or in an integer" if own.excused else ""
    return f"output '{own.name}' differs by {own.max_rel:.1e}{where}"


def relaxed(reference: Reference, run: ReferenceRun, bounds: Bounds) -> Bounds:
    """Bounds widened to what noise does on this run: the original may have been lucky where it was run."""
    trials = _trials(reference, run)
    return tuple(_widened(bound, run.exact[i], [trial[i] for trial in trials]) for i, bound in enumerate(bounds))


def _widened(bound: Bound, exact: Array, trials: Sequence[Array]) -> Bound:
    if is_float(exact.dtype):
        return replace(bound, tolerance=max(bound.tolerance, NOISE_FACTOR * spread(exact, trials, bound.scale)))
    excused = unstable(exact, trials)
    return replace(bound, excused=excused if bound.excused is None else excused | bound.excused)


def _trials(reference: Reference, run: ReferenceRun) -> list[tuple[Array, ...]]:
    if reference.graph is None:
        return []
    jitter = JITTER if run.sample.kind == "zero" else 0.0
    return noisy_outputs(reference.graph, tuple(run.sample.inputs.values()), TRIALS, jitter=jitter)


def spread(exact: Array, trials: Sequence[Array], scale: float) -> float:
    """The largest relative error of an output under noise, where both are finite."""
    results = [
        compare_output("", exact, trial, float("inf"), dtype=trial.dtype, scale=scale, excused=unlike(exact, trial))
        for trial in trials
    ]
    return max((result.max_rel or 0.0 for result in results), default=0.0)


def unstable(exact: Array, trials: Sequence[Array]) -> Mask:
    """Where noise changes an integer, or a value from finite to not finite."""
    masks = [mask for trial in trials if (mask := unlike(exact, trial)) is not None]
    return np.asarray(np.any([np.zeros(exact.shape, np.bool_), *masks], axis=0))
