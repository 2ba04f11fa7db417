"""Networks that amplify rounding: what is excused, what is not, and what is said about it."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nascc.compiler.divergence import first_jump, relative_error
from nascc.compiler.errors import NotEquivalent
from nascc.compiler.reference import Reference
from nascc.compiler.rounding import RoundingInterpreter, noisy_outputs
from nascc.compiler.stability import check_capture, relaxed, spread, unstable
from nascc.compiler.tolerance import FACTOR, FLOORS, LIMIT, bounds_of
from nascc.compiler.verify import verify_onnx
from verify_kit import Function, add_to_first, captured, lowered, net, nudged, with_original


def cancelling(layer: nn.Linear, x: Tensor) -> Tensor:
    """A linear layer behind a sum that is added and taken away again: float32 keeps three digits."""
    offset = x.sum(1, keepdim=True) * 3e4
    return (layer(x) + offset) - offset  # type: ignore[no-any-return]


def test_the_floor_holds_where_the_original_is_exact_enough() -> None:
    _, reference = net()
    assert all(b.tolerance == FLOORS["float32"] for bounds in bounds_of(reference) for b in bounds)


def test_the_tolerance_is_ten_times_the_originals_own_error() -> None:
    network = captured(Function(lambda layer, x: torch.exp(3 * layer(x))), "x:2x16")
    reference = Reference.of(network)
    for run, (bound,) in zip(reference.runs, bounds_of(reference), strict=True):
        assert bound.own is not None and run.own is not None
        if run.sample.is_usual:
            assert bound.own.max_rel == relative_error(run.exact[0], run.own[0]) and bound.scale == 0.0
        assert bound.tolerance >= max(FACTOR * bound.own_error, FLOORS["float32"])


def test_the_error_on_large_values_does_not_loosen_the_others() -> None:
    network = captured(Function(lambda layer, x: torch.sin(layer(x) * 1000)), "x:2x16")
    reference = Reference.of(network)
    bounds = {run.sample.kind: b[0] for run, b in zip(reference.runs, bounds_of(reference), strict=True)}
    assert bounds["large"].tolerance > 3 * bounds["random"].tolerance
    assert bounds["random"].tolerance == bounds["example"].tolerance == bounds["zero"].tolerance


def test_an_ill_conditioned_network_is_said_to_be_one() -> None:
    network = captured(Function(cancelling), "x:2x16")
    found = verify_onnx(network, lowered(network))
    assert found
    (warning,) = found.warnings
    assert warning.startswith("ill-conditioned: output 'output' of the original is") and "node 'sub'" in warning
    assert found.outputs[0].tolerance > LIMIT
    own = found.entries()[1].outputs[0]
    assert own.max_rel is not None and own.max_rel > LIMIT / FACTOR


def test_an_ill_conditioned_network_is_still_compared() -> None:
    network = captured(Function(cancelling), "x:2x16")
    found = verify_onnx(network, nudged(lowered(network), "layer.bias", add_to_first(5.0)))
    assert not found and found.divergence is not None


def test_overflow_in_both_is_excused() -> None:
    network = captured(Function(lambda layer, x: torch.exp(layer(x) * 4)), "x:2x16")
    found = verify_onnx(network, lowered(network))
    assert found
    assert any("not compared on large 0" in w and "output 'output'" in w for w in found.warnings)
    assert found.outcomes[-1].outputs[0].excused > 0 and not found.outcomes[0].outputs[0].excused


def test_nan_behind_an_overflow_is_excused() -> None:
    network = captured(
        Function(lambda layer, x: torch.exp(layer(x) * 4) / torch.exp(layer(x) * 4).sum(1, True)), "x:2x16"
    )
    assert verify_onnx(network, lowered(network))


def test_nan_that_the_original_has_too_is_equal() -> None:
    network = captured(Function(lambda layer, x: torch.sqrt(layer(x))), "x:4x16")
    assert verify_onnx(network, lowered(network))


def test_nan_elsewhere_is_not_equal() -> None:
    network = captured(Function(lambda layer, x: torch.sqrt(layer(x))), "x:4x16")
    found = verify_onnx(network, nudged(lowered(network), "layer.bias", add_to_first(-3.0)))
    assert not found and "differ in being finite" in found.reason


def argmax(layer: nn.Linear, x: Tensor) -> Tensor:
    """The larger of two numbers that only rounding tells apart."""
    y = layer(x)
    return torch.stack([y * 3.1, (y * 31) / 10, y - 100], -1).argmax(-1)


def test_what_rounding_decides_is_excused() -> None:
    network = captured(Function(argmax), "x:8x16")
    found = verify_onnx(network, lowered(network))
    assert found, found.reason
    assert any("rounding or overflow decides" in w for w in found.warnings)


def test_integers_that_are_wrong_are_found() -> None:
    network = captured(Function(lambda layer, x: layer(x).argmax(1)), "x:8x16")
    assert verify_onnx(network, lowered(network))
    found = verify_onnx(network, nudged(lowered(network), "layer.bias", add_to_first(50.0)))
    assert not found and "values differ, first expected" in found.reason


def test_masks_that_are_wrong_are_found() -> None:
    network = captured(Function(lambda layer, x: layer(x) > 0.1), "x:8x16")
    assert verify_onnx(network, lowered(network))
    assert not verify_onnx(network, nudged(lowered(network), "layer.bias", add_to_first(0.2)))


def test_an_original_whose_integers_are_others_is_refused() -> None:
    network = captured(Function(lambda layer, x: layer(x).argmax(1)), "x:8x16")
    other = with_original(network, lambda x: tuple((y + 1) % 16 for y in network.module_call(x)))
    with pytest.raises(NotEquivalent, match="captured graph must compute what the original computes"):
        verify_onnx(other, lowered(network))


def test_an_original_that_is_nan_elsewhere_is_refused() -> None:
    network, _ = net()

    def call(x: Tensor) -> tuple[Tensor, ...]:
        (y,) = network.module_call(x)
        y[0, 0] = float("nan")
        return (y,)

    with pytest.raises(NotEquivalent, match="being finite or in an integer"):
        verify_onnx(with_original(network, call), lowered(network))


def test_a_sound_capture_is_accepted() -> None:
    for function in (cancelling, argmax):
        reference = Reference.of(captured(Function(function), "x:8x16"))
        check_capture(reference, bounds_of(reference))


def slightly_cancelling(layer: nn.Linear, x: Tensor) -> Tensor:
    """Loses two or three digits: float32 is off by more than the floor, by far less than the limit."""
    offset = x.sum(1, keepdim=True) * 1500
    return (layer(x) + offset) - offset  # type: ignore[no-any-return]


def test_an_original_that_was_lucky_does_not_make_rounding_an_error() -> None:
    network = captured(Function(slightly_cancelling), "x:4x16")

    def lucky(x: Tensor) -> tuple[Tensor, ...]:
        return tuple(y.float() for y in network.gm(x.double()))

    other = with_original(network, lucky)
    found = verify_onnx(other, lowered(network))
    assert found, found.reason
    assert found.own_max_rel is not None and found.own_max_rel < 1e-6 and found.max_rel > FLOORS["float32"]
    assert found.outputs[0].tolerance < LIMIT
    assert not verify_onnx(other, nudged(lowered(network), "layer.bias", add_to_first(0.1)))


@pytest.mark.parametrize(("dtype", "unit"), [("float32", 2.0**-24), ("float16", 2.0**-11), ("bfloat16", 2.0**-8)])
def test_floors_leave_room_for_rounding_and_stay_below_the_limit(dtype: str, unit: float) -> None:
    assert min(8 * unit, LIMIT) <= FLOORS[dtype] <= LIMIT


def test_half_precision_has_its_own_floor() -> None:
    model = Function(lambda layer, x: torch.relu(layer(x))).half()
    network = captured(model, "x:2x16:float16")
    found = verify_onnx(network, lowered(network))
    assert found and found.own_side == "the original in float16"
    assert FLOORS["float16"] <= found.outputs[0].tolerance <= LIMIT
    assert not verify_onnx(network, nudged(lowered(network), "layer.weight", lambda a: a * 1.1))


def test_cancellation_to_zero_is_measured_by_the_usual_size() -> None:
    network = captured(Function(lambda layer, x: layer(x) - layer(x * 0) * 1.0000001), "x:2x16")
    found = verify_onnx(network, lowered(network))
    assert found and not found.warnings


# rounding


def test_rounding_leaves_what_is_exact() -> None:
    network = captured(Function(lambda layer, x: torch.cat([x.flip(0).relu(), x.T @ x], 0)), "x:16x16")
    x = torch.randn(16, 16).double()
    with torch.no_grad():
        (noisy,) = RoundingInterpreter(network.gm, ulps=1e6).run(x.float().double())
    exact = torch.cat([x.float().double().flip(0).relu(), x.float().double().T @ x.float().double()], 0)
    assert torch.equal(noisy[:16], exact[:16])
    assert not torch.allclose(noisy[16:], exact[16:], rtol=1e-3)


def test_rounding_without_noise_is_close_to_the_original() -> None:
    network, reference = net()
    run = reference.proof
    with torch.no_grad():
        (rounded,) = RoundingInterpreter(network.gm).run(torch.from_numpy(run.sample.inputs["x"]).double())
    error = relative_error(run.exact[0], rounded.numpy())
    assert 0 < error < 1e-6


def test_noise_is_seeded_and_differs_between_trials() -> None:
    network, reference = net()
    inputs = tuple(reference.proof.sample.inputs.values())
    first, second = noisy_outputs(network.gm, inputs, 2), noisy_outputs(network.gm, inputs, 2)
    np.testing.assert_array_equal(first[0][0], second[0][0])
    assert not np.array_equal(first[0][0], first[1][0])
    assert 1e-8 < spread(reference.proof.exact[0], [trial[0] for trial in first], 0.0) < 1e-4


def test_unstable_marks_what_noise_changes() -> None:
    exact, trials = np.array([1, 2, 3]), [np.array([1, 2, 4]), np.array([1, 2, 3])]
    np.testing.assert_array_equal(unstable(exact, trials), [False, False, True])
    assert not unstable(exact, []).any()


def test_bounds_are_widened_only_by_noise() -> None:
    _, reference = net()
    bounds = bounds_of(reference)[0]
    assert relaxed(reference, reference.runs[0], bounds)[0].tolerance < 1e-4


def test_the_jump_is_found_where_digits_are_lost() -> None:
    network = captured(Function(cancelling), "x:2x16")
    x = np.random.default_rng(0).standard_normal((2, 16)).astype(np.float32)
    jump = first_jump(network.gm, (x,), 1e-4)
    assert jump is not None and jump.node == "sub" and jump.before < 1e-6 < 1e-4 < jump.after
    assert first_jump(network.gm, (x,), 10.0) is None
