"""Judge whatever runs against a reference: every sample, tolerances from the original, and what to warn of."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from nascc.compiler.divergence import Divergence, first_jump
from nascc.compiler.reference import Reference, ReferenceRun
from nascc.compiler.stability import check_capture, relaxed
from nascc.compiler.tolerance import FACTOR, Bound, Bounds, bounds_of
from nascc.compiler.verification import SampleOutcome, Verification, worst
from nascc.runtime.compare import OutputComparison, compare, is_float
from nascc.runtime.errors import RunnerFailed
from nascc.runtime.runners.base import Array, Runner
from nascc.runtime.runners.onnx import failed_node

Finder: TypeAlias = Callable[[ReferenceRun], Divergence | None]


def find_nothing(_run: ReferenceRun) -> None:
    """The finder for sides that can not be looked into."""


def verify_runner(
    reference: Reference, runner: Runner, find: Finder = find_nothing, *, side: str = "float64"
) -> Verification:
    """Whatever `runner` runs, under the reference's names, against the reference; `side` says what the reference is.

    `find` names the node where a run diverges. Raises NotEquivalent when the original does not compute what its
    captured graph does.
    """
    bounds = bounds_of(reference)
    check_capture(reference, bounds)
    outcomes: list[SampleOutcome] = []
    failure = _nothing_to_compare(reference, bounds)
    try:
        with runner:
            for run, allowed in zip(reference.runs, bounds, strict=True):
                outcomes.append(_outcome(reference, run, allowed, runner, relax=all(outcomes)))
    except RunnerFailed as error:
        failure = str(error)
    own = [[b.own for b in allowed if b.own is not None] for allowed in bounds]
    return Verification(
        a=side,
        b=runner.name,
        outcomes=tuple(outcomes),
        own=worst(own),
        own_side=f"the original in {_float_names(reference)}",
        divergence=_divergence(reference, outcomes, find),
        warnings=_warnings(reference, bounds, outcomes),
        skipped=reference.skipped,
        failure=failure,
    )


def _outcome(reference: Reference, run: ReferenceRun, bounds: Bounds, runner: Runner, *, relax: bool) -> SampleOutcome:
    """Run one sample and compare; on a mismatch, `relax` looks once more at what rounding can do."""
    label = run.sample.label
    try:
        outputs = runner.run(run.sample.inputs)
    except RunnerFailed as error:
        return SampleOutcome(label, (), str(error))
    if tuple(outputs) != reference.names:
        return SampleOutcome(label, (), f"outputs must be {list(reference.names)}, got {list(outputs)}")
    values = tuple(outputs.values())
    results = _compared(reference, run, bounds, values)
    if relax and not all(results) and all(r.max_rel is not None for r in results):
        results = _compared(reference, run, relaxed(reference, run, bounds), values)
    return SampleOutcome(label, results)


def _compared(
    reference: Reference, run: ReferenceRun, bounds: Bounds, outputs: Sequence[Array]
) -> tuple[OutputComparison, ...]:
    return compare(
        run.exact,
        outputs,
        reference.names,
        [bound.tolerance for bound in bounds],
        dtypes=reference.dtypes,
        scales=[bound.scale for bound in bounds],
        excused=[bound.excused for bound in bounds],
    )


def _nothing_to_compare(reference: Reference, bounds: Sequence[Bounds]) -> str:
    """Why a comparison would be worth nothing: an output that is not finite on any usual sample."""
    empty = []
    for i, name in enumerate(reference.names):
        usual = [(r.exact[i], b[i]) for r, b in zip(reference.runs, bounds, strict=True) if r.sample.is_usual]
        known = [_comparable(value, bound).any() for value, bound in usual if value.size]
        if known and not any(known):
            empty.append(f"'{name}'")
    if not empty:
        return ""
    return f"output {', '.join(empty)} of the original must be finite somewhere, found NaN or infinity on every sample"


def _comparable(value: Array, bound: Bound) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    finite = np.isfinite(value.astype(np.float64))
    return finite if bound.excused is None else finite & ~bound.excused


def _divergence(reference: Reference, outcomes: Sequence[SampleOutcome], find: Finder) -> Divergence | None:
    """The node where the first sample that failed departs, or which onnxruntime blames for not running."""
    for run, outcome in zip(reference.runs, outcomes, strict=False):
        if outcome:
            continue
        if not outcome.failure:
            return find(run)
        node = failed_node(outcome.failure)
        return None if node is None else Divergence(node, node.rpartition("/")[0], "", 0.0, float("inf"))
    return None


def _warnings(reference: Reference, bounds: Sequence[Bounds], outcomes: Sequence[SampleOutcome]) -> tuple[str, ...]:
    found = []
    for i, name in enumerate(reference.names):
        run, bound = max(zip(reference.runs, (b[i] for b in bounds), strict=True), key=lambda pair: pair[1].own_error)
        if bound.is_ill_conditioned:
            found.append(_ill_conditioned(reference, run, name, bound))
    for outcome in outcomes:
        left_out = [f"{o.excused} values of output '{o.name}'" for o in outcome.outputs if o.excused]
        if left_out:
            found.append(f"not compared on {outcome.label}, where rounding or overflow decides: {', '.join(left_out)}")
    return tuple(found)


def _ill_conditioned(reference: Reference, run: ReferenceRun, name: str, bound: Bound) -> str:
    inputs, jump = tuple(run.sample.inputs.values()), None
    if reference.graph is not None:
        jump = first_jump(reference.graph, inputs, bound.own_error / FACTOR)
    where = f"; the error first jumps at {jump}" if jump else ""
    return (
        f"ill-conditioned: output '{name}' of the original is {bound.own_error:.1e} from float64 "
        f"on {run.sample.label}, so {bound.tolerance:.1e} is allowed{where}"
    )


def _float_names(reference: Reference) -> str:
    names = {d.name for d in reference.dtypes if is_float(d)} or {d.name for d in reference.dtypes}
    return " and ".join(sorted(names))
