"""Comparing outputs: structure, positions that are not finite, and every number."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nascc.runtime.compare import OutputComparison, compare, compare_output, top1_agreement

ml_dtypes = pytest.importorskip("ml_dtypes")

X = np.array([[1.0, -2.0, 4.0], [0.5, 3.0, -8.0]])


def check(expected: object, actual: object, tolerance: float = 1e-5, **options: object) -> OutputComparison:
    return compare_output("y", np.asarray(expected), np.asarray(actual), tolerance, **options)  # type: ignore[arg-type]


def test_equal_outputs_are_ok_and_true() -> None:
    found = check(X, X.copy())
    assert found and found.ok and not found.reason
    assert (found.max_abs, found.max_rel, found.cosine, found.top1_agreement) == (0.0, 0.0, 1.0, 1.0)
    assert found.snr_db == math.inf


def test_errors_are_relative_to_the_largest_value() -> None:
    found = check(X, X + np.array([[0, 0, 0], [0.08, 0, 0]]), 0.02)
    assert found and found.max_abs == pytest.approx(0.08) and found.max_rel == pytest.approx(0.01)
    assert found.snr_db == pytest.approx(10 * np.log10((X**2).sum() / 0.08**2))


def test_an_error_above_the_tolerance_names_the_place() -> None:
    wrong = X.copy()
    wrong[1, 2] = -7.0
    found = check(X, wrong)
    assert not found and not found.ok
    assert found.reason == "max_rel must be at most 1.0e-05, got 1.2e-01: expected -8, got -7 at [1, 2]"


def test_cosine_and_top1_see_swapped_classes() -> None:
    found = check(X, X[:, ::-1], 10.0)
    assert found.top1_agreement == 0.5
    assert found.cosine is not None and found.cosine < 1.0


@pytest.mark.parametrize(
    ("shape", "axis_is_one"), [((4, 3), False), ((4, 5, 3), False), ((2, 3, 4, 5), True), ((2, 3, 4, 5, 6), True)]
)
def test_top1_runs_over_the_class_axis(shape: tuple[int, ...], axis_is_one: bool) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal(shape), rng.standard_normal(shape)
    axis = 1 if axis_is_one else -1
    assert top1_agreement(a, b) == np.mean(a.argmax(axis) == b.argmax(axis))


@pytest.mark.parametrize("shape", [(), (0, 3), (4, 1)])
def test_top1_needs_classes(shape: tuple[int, ...]) -> None:
    assert top1_agreement(np.zeros(shape), np.zeros(shape)) is None


def test_shapes_must_agree() -> None:
    found = check(X, X.reshape(3, 2))
    assert not found and found.reason == "shape must be [2, 3], got [3, 2]" and found.max_abs is None


def test_dtypes_must_agree() -> None:
    assert check(X, X.astype(np.float32)).reason == "dtype must be float64, got float32"
    assert check(X, X.astype(np.float32), dtype=np.dtype(np.float32))
    assert not check(X, X.astype(np.float16), dtype=np.dtype(np.float32))


def test_counts_must_agree() -> None:
    missing = compare([X, X], [X], ["a", "b"], [0.0, 0.0])
    surplus = compare([X], [X, X], ["a"], [0.0])
    assert [bool(r) for r in missing] == [True, False] and [bool(r) for r in surplus] == [True, False]
    assert missing[1].name == "b" and missing[1].reason == "there must be 2 outputs, got 1"
    assert surplus[1].name == "output 1" and surplus[1].reason == "there must be 1 outputs, got 2"


def test_swapped_outputs_are_found() -> None:
    a, b = X, X * 2
    assert not any(compare([a, b], [b, a], ["a", "b"], [1e-2, 1e-2]))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_must_stand_in_one_place(odd: float) -> None:
    with_odd = X.copy()
    with_odd[0, 1] = odd
    assert check(with_odd, with_odd.copy())
    found = check(X, with_odd)
    assert not found and found.reason.startswith("1 of 6 values differ in being finite") and "[0, 1]" in found.reason
    assert not check(with_odd, X)


def test_infinities_of_other_sign_differ() -> None:
    assert not check([np.inf, 1.0], [-np.inf, 1.0])
    assert not check([np.inf, 1.0], [np.nan, 1.0])


def test_numbers_beside_nan_are_still_compared() -> None:
    found = check([np.nan, 1.0], [np.nan, 1.5])
    assert not found and found.max_rel == 0.5


def test_all_nan_has_no_numbers() -> None:
    found = check([np.nan, np.nan], [np.nan, np.nan])
    assert found and found.max_abs == 0.0 and found.cosine is None and found.snr_db is None


def test_excused_positions_are_not_compared() -> None:
    wrong = X.copy()
    wrong[0, 0], wrong[1, 1] = np.nan, 100.0
    mask = wrong != X
    found = check(X, wrong, excused=mask)
    assert found and found.excused == 2 and found.max_abs == 0.0
    assert not check(X, wrong, excused=~mask)


def test_empty_outputs_are_equal() -> None:
    found = check(np.zeros((0, 4)), np.zeros((0, 4)))
    assert found and found.max_abs == 0.0 and found.cosine is None and found.top1_agreement is None
    assert check(np.zeros((0,), np.int64), np.zeros((0,), np.int64))
    assert not check(np.zeros((0, 4)), np.zeros((0, 5)))


def test_outputs_of_zeros() -> None:
    assert check(np.zeros(3), np.zeros(3)).snr_db == math.inf
    found = check(np.zeros(3), np.array([0.0, 1e-30, 0.0]))
    assert not found and found.max_rel == math.inf and found.cosine == 0.0 and found.snr_db == -math.inf


def test_a_scale_gives_size_to_what_cancels() -> None:
    found = check(np.array([1e-20, 0.0]), np.array([1e-9, 0.0]), 1e-5, scale=1e-3)
    assert found and found.max_rel == pytest.approx(1e-6)


def test_huge_values_do_not_overflow() -> None:
    huge = np.array([1e308, -1e308, 3e307])
    found = check(huge, huge * (1 - 1e-9), 1e-6)
    assert found and found.cosine == pytest.approx(1.0) and found.snr_db == pytest.approx(180.0, abs=1.0)
    opposite = check(huge, -huge)
    assert not opposite and opposite.cosine == pytest.approx(-1.0) and opposite.max_abs == math.inf


def test_tiny_values_do_not_vanish() -> None:
    tiny = np.array([1e-300, -2e-300])
    assert check(tiny, tiny * 1.5, 1.0).snr_db == pytest.approx(10 * np.log10(4.0))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ml_dtypes.bfloat16])
def test_narrow_floats_against_float64(dtype: type) -> None:
    step = float(np.finfo(dtype).eps) if dtype is not ml_dtypes.bfloat16 else 2.0**-7
    assert check(X, X.astype(dtype), step, dtype=np.dtype(dtype))
    off = (X * (1 + 8 * step)).astype(dtype)
    assert not check(X, off, step, dtype=np.dtype(dtype))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_integers_must_be_equal(dtype: type) -> None:
    a = np.array([[3, 250], [0, 7]], dtype)
    b = a.copy()
    b[0, 1] -= 1
    assert check(a, a.copy())
    found = check(a, b)
    assert not found and found.reason == "1 of 4 values differ, first expected 250, got 249 at [0, 1]"
    assert found.max_abs == 1.0 and found.top1_agreement == 0.75 and found.tolerance == 0.0
    assert check(a, b, excused=a != b).top1_agreement == 0.75


def test_large_integers_that_float64_can_not_tell_apart() -> None:
    assert not check(np.array([2**62]), np.array([2**62 + 1]))


def test_booleans_must_be_equal() -> None:
    a = np.array([True, False, True])
    assert check(a, a.copy())
    found = check(a, np.array([True, True, True]))
    assert not found and found.reason == "1 of 3 values differ, first expected False, got True at [1]"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20),
    st.integers(0, 19),
    st.floats(1e-4, 1.0),
)
def test_a_change_is_found_exactly_when_it_is_above_the_tolerance(
    values: list[float], place: int, change: float
) -> None:
    expected = np.array([*values, 1e6])
    actual = expected.copy()
    actual[place % len(expected)] += change * 1e6
    assert not check(expected, actual, change * 0.9)
    assert check(expected, actual, change * 1.1)
