"""Fusion rules over the neutral operator list."""

import pytest

from nascc.runtime.kernels import condense, fuse
from nascc.runtime.operators import Network, Operator, convolution, keeps_order, product


def conv(name: str, source: str, channels: int = 8, groups: int = 1, taps: int = 3) -> Operator:
    weight = (channels, channels // groups, taps, taps)
    return convolution(name, (source,), name, (1, channels, 4, 4), (1, channels, 4, 4), weight, groups, bias=channels)


def op(kind: str, name: str, *sources: str, elements: int = 128, weights: int = 0) -> Operator:
    return Operator(name, kind, sources, name, elements, weights)


def kinds(*operators: Operator, outputs: tuple[str, ...] = ()) -> list[tuple[str, tuple[str, ...]]]:
    network = Network({"x": 128}, operators, outputs or (operators[-1].output,))
    return [(k.kind, k.operators) for k in fuse(network)]


def test_a_convolution_takes_its_activation_and_the_residual() -> None:
    found = kinds(conv("a", "x"), op("elementwise", "add", "a", "x"), op("elementwise", "relu", "add"))
    assert found == [("conv", ("a", "add", "relu"))]


def test_an_activation_spelled_in_several_operators_is_one() -> None:
    hard_swish = (
        op("elementwise", "plus", "a"), op("elementwise", "clip", "plus"),
        op("elementwise", "times", "a", "clip"), op("elementwise", "div", "times"),
    )  # fmt: skip
    assert kinds(conv("a", "x"), *hard_swish) == [("conv", ("a", "plus", "clip", "times", "div"))]


def test_a_value_with_another_reader_stays() -> None:
    found = kinds(conv("a", "x"), op("elementwise", "relu", "a"), conv("b", "relu"), op("elementwise", "add", "a", "b"))
    assert [k for k, _ in found] == ["conv", "elementwise", "conv"]


def test_an_output_stays() -> None:
    assert len(kinds(conv("a", "x"), op("elementwise", "relu", "a"), outputs=("a", "relu"))) == 2


def test_one_kernel_takes_one_convolution() -> None:
    found = kinds(conv("a", "x"), conv("b", "x"), op("elementwise", "add", "a", "b"))
    assert found == [("conv", ("a",)), ("conv", ("b", "add"))]


def test_a_smaller_value_is_no_part_of_a_larger_kernel() -> None:
    gate = op("elementwise", "gate", "pool", elements=8)
    found = kinds(op("pool", "pool", "x", elements=8), gate, op("elementwise", "scale", "x", "gate"))
    assert [k for k, _ in found] == ["pool", "elementwise", "elementwise"]


def test_views_and_dead_operators_cost_nothing() -> None:
    found = kinds(conv("a", "x"), conv("dead", "x"), op("view", "flat", "a"), op("elementwise", "relu", "flat"))
    assert found == [("conv", ("a", "relu"))]


@pytest.mark.parametrize(("reader", "free"), [(conv("c", "pad"), True), (op("concat", "c", "pad", "x"), False)])
def test_a_pad_is_free_before_a_convolution(reader: Operator, free: bool) -> None:
    assert len(kinds(op("pad", "pad", "x"), reader)) == (1 if free else 2)


def test_transposes_and_scales_are_free_before_a_matrix_product() -> None:
    scores = product("scores", ("swap", "scaled"), "scores", (1, 8, 8), 16)
    found = kinds(op("transpose", "swap", "x"), op("elementwise", "scaled", "x", weights=1), scores)
    assert found == [("matmul", ("scores",))]
    assert len(kinds(op("transpose", "swap", "x"))) == 1


@pytest.mark.parametrize(
    ("groups", "taps", "kind"), [(1, 3, "conv"), (1, 1, "pointwise"), (8, 3, "depthwise"), (2, 3, "grouped")]
)
def test_numbers_of_a_convolution(groups: int, taps: int, kind: str) -> None:
    (kernel,) = fuse(Network({"x": 128}, (conv("a", "x", groups=groups, taps=taps),), ("a",)))
    weights = 8 * 8 // groups * taps**2
    assert (kernel.kind, kernel.macs, kernel.reduction) == (kind, 16 * weights, 8 // groups * taps**2)
    assert (kernel.read, kernel.written, kernel.weights) == (128, 128, weights + 8)
    assert kernel.flops == 32 * weights and kernel.bytes("fp16") == 2 * (256 + weights + 8)


def test_a_transposed_convolution_counts_its_input_positions() -> None:
    found = convolution("t", ("x",), "y", (1, 8, 4, 4), (1, 6, 8, 8), (8, 6, 2, 2), 1, transposed=True)
    assert found.macs == 16 * 8 * 6 * 4 and found.elements == 6 * 64


def test_a_slice_reads_what_it_keeps() -> None:
    (kernel,) = fuse(Network({"x": 128}, (op("slice", "s", "x", elements=32),), ("s",)))
    assert (kernel.read, kernel.written) == (32, 32)


def test_equal_kernels_are_counted() -> None:
    network = Network({"x": 128}, (conv("a", "x"), conv("b", "a")), ("b",))
    (kernel,) = condense(fuse(network))
    assert kernel.count == 2 and condense([kernel, *fuse(network)])[0].count == 4


@pytest.mark.parametrize(
    ("shape", "axes", "kept"),
    [
        ((1, 546, 1, 1), (0, 2, 3, 1), True),
        ((1, 8, 2, 1), (0, 2, 3, 1), False),
        ((2, 3), (0, 1), True),
        ((2, 3), (1, 0), False),
    ],
)
def test_axes_of_one_move_freely(shape: tuple[int, ...], axes: tuple[int, ...], kept: bool) -> None:
    assert keeps_order(shape, axes) is kept
