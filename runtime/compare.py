"""Compare the outputs of two runs: structure, what is not finite, and how far the numbers are apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OutputComparison:
    """One output of two runs, with what tells them apart; true when it is within its tolerance.

    `max_rel` is `max_abs` over the largest absolute expected value. A number is None where it has no meaning (no
    elements, another shape, integers). `excused` counts positions that were left out of the comparison.
    """

    name: str
    ok: bool
    tolerance: float
    reason: str = ""
    max_abs: float | None = None
    max_rel: float | None = None
    cosine: float | None = None
    snr_db: float | None = None
    top1_agreement: float | None = None
    excused: int = 0

    def __bool__(self) -> bool:
        return self.ok


def compare(
    expected: Sequence[Array],
    actual: Sequence[Array],
    names: Sequence[str],
    tolerances: Sequence[float],
    *,
    dtypes: Sequence[np.dtype[np.generic]] | None = None,
    scales: Sequence[float] | None = None,
    excused: Sequence[Mask | None] | None = None,
) -> tuple[OutputComparison, ...]:
    """Compare output by output; a missing or surplus output is a comparison that is not ok.

    `tolerances` bound `max_rel` of float outputs; integers and booleans must be equal. `dtypes` are those `actual`
    must have (those of `expected` when None: pass them when `expected` is a float64 reference). The rest is as in
    `compare_output`, one entry an output.
    """
    results = []
    for i, (want, got) in enumerate(zip_longest(expected, actual)):
        name = names[i] if i < len(names) else f"output {i}"
        tolerance = tolerances[i] if i < len(tolerances) else 0.0
        if want is None or got is None:
            reason = f"there must be {len(expected)} outputs, got {len(actual)}"
            results.append(OutputComparison(name, False, tolerance, reason))
            continue
        dtype = dtypes[i] if dtypes else None
        scale = scales[i] if scales else 0.0
        mask = excused[i] if excused else None
        results.append(compare_output(name, want, got, tolerance, dtype=dtype, scale=scale, excused=mask))
    return tuple(results)


def compare_output(
    name: str,
    expected: Array,
    actual: Array,
    tolerance: float,
    *,
    dtype: np.dtype[np.generic] | None = None,
    scale: float = 0.0,
    excused: Mask | None = None,
) -> OutputComparison:
    """Compare one output with what it must be.

    NaN and infinities must stand at the same positions. `scale` is the least value that `max_abs` is divided by, for
    an output that is nearly zero by cancellation. Where `excused` is true nothing is compared.
    """
    dtype = expected.dtype if dtype is None else dtype
    if expected.shape != actual.shape:
        reason = f"shape must be {list(expected.shape)}, got {list(actual.shape)}"
        return OutputComparison(name, False, tolerance, reason)
    if actual.dtype != dtype:
        return OutputComparison(name, False, tolerance, f"dtype must be {dtype.name}, got {actual.dtype.name}")
    keep = np.ones(expected.shape, np.bool_) if excused is None else ~excused
    left_out = int(expected.size - np.count_nonzero(keep))
    if is_float(dtype):
        want, got = expected.astype(np.float64), actual.astype(np.float64)
        return _compare_floats(name, want, got, keep, tolerance, scale, left_out)
    return _compare_discrete(name, expected.astype(dtype), actual, keep, left_out)


def is_float(dtype: np.dtype[np.generic]) -> bool:
    """Is this a floating-point type, the bfloat16 and float8 of other packages among them?"""
    return dtype.kind == "f" or dtype.name.startswith(("bfloat", "float"))


def _compare_discrete(name: str, expected: Array, actual: Array, keep: Mask, left_out: int) -> OutputComparison:
    wrong = (expected != actual) & keep
    count = int(np.count_nonzero(wrong))
    if expected.size == 0:
        return OutputComparison(name, True, 0.0, max_abs=0.0, max_rel=0.0)
    want = expected.astype(np.float64)
    apart = np.abs(np.where(wrong, want - actual.astype(np.float64), 0.0))
    max_abs = float(apart.max())
    reason = f"{count} of {expected.size} values differ, first {_example(expected, actual, wrong)}" if count else ""
    agreement = 1.0 - float(np.count_nonzero(expected != actual)) / expected.size
    max_rel = _ratio(max_abs, float(np.abs(want).max()))
    return OutputComparison(name, not count, 0.0, reason, max_abs, max_rel, top1_agreement=agreement, excused=left_out)


def _compare_floats(
    name: str, expected: Floats, actual: Floats, keep: Mask, tolerance: float, scale: float, left_out: int
) -> OutputComparison:
    odd = _class_of(expected) != _class_of(actual)
    finite = keep & np.isfinite(expected) & np.isfinite(actual)
    want, got = expected[finite], actual[finite]
    with np.errstate(over="ignore"):
        apart = np.abs(np.where(finite, expected, 0.0) - np.where(finite, actual, 0.0))
    max_abs = float(apart.max(initial=0.0))
    max_rel = _ratio(max_abs, max(float(np.abs(want).max(initial=0.0)), scale))
    reason = ""
    if (wrong := odd & keep).any():
        count = int(np.count_nonzero(wrong))
        reason = f"{count} of {expected.size} values differ in being finite, first {_example(expected, actual, wrong)}"
    elif not max_rel <= tolerance:
        example = _example(expected, actual, apart == max_abs)
        reason = f"max_rel must be at most {tolerance:.1e}, got {max_rel:.1e}: {example}"
    return OutputComparison(
        name, not reason, tolerance, reason, max_abs, max_rel, *_similarity(want, got),
        top1_agreement(expected, actual), left_out,
    )  # fmt: skip


def _class_of(values: Floats) -> NDArray[np.int8]:
    """0 where finite, 1 where NaN, 2 and 3 where infinite."""
    classes = np.zeros(values.shape, np.int8)
    classes[np.isnan(values)] = 1
    classes[np.isposinf(values)] = 2
    classes[np.isneginf(values)] = 3
    return classes


def _ratio(error: float, size: float) -> float:
    if error == 0.0:
        return 0.0
    return error / size if size > 0.0 else float("inf")


def _similarity(expected: Floats, actual: Floats) -> tuple[float | None, float | None]:
    """Cosine, and the signal-to-noise ratio in dB; scaled first, so that no square overflows or vanishes."""
    if expected.size == 0:
        return None, None
    size = max(float(np.abs(expected).max()), float(np.abs(actual).max()))
    if size == 0.0:
        return 1.0, float("inf")
    a, b = expected / size, actual / size
    signal, noise = float(np.sum(a * a)), float(np.sum((a - b) ** 2))
    norms = float(np.sqrt(signal) * np.sqrt(np.sum(b * b)))
    cosine = float(np.sum(a * b)) / norms if norms > 0.0 else 0.0
    if noise == 0.0:
        return 1.0, float("inf")
    return cosine, 10.0 * float(np.log10(signal / noise)) if signal > 0.0 else -float("inf")


def top1_agreement(expected: Array, actual: Array) -> float | None:
    """The share of rows with the largest value in one place: over the last axis, over axis 1 of NCHW and NCDHW.

    None for a scalar, for an output without elements, and where there is only one class.
    """
    axis = 1 if expected.ndim in (4, 5) else -1
    if expected.ndim == 0 or expected.size == 0 or expected.shape[axis] < 2:
        return None
    return float(np.mean(np.argmax(expected, axis) == np.argmax(actual, axis)))


def _example(expected: Array, actual: Array, where: Mask) -> str:
    index = tuple(int(i) for i in np.argwhere(where)[0])
    return f"expected {_shown(expected[index])}, got {_shown(actual[index])} at {list(index)}"


def _shown(value: np.generic) -> str:
    number = value.item()
    return f"{number:.6g}" if isinstance(number, float) else str(number)
