"""Shuffles, upsampling, linear layers and averages as convolutions."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from torch import Tensor
from torch.nn import functional as F

from linear.stages import (
    SIZE,
    conv,
    conv_t,
    fold,
    image,
    nearest,
    run_chain,
    shuffle,
    unshuffle,
)
from linear.strategies import check, errors, random
from nascc.passes.linear import convert, pool
from nascc.passes.linear.compose import Repair, compose
from nascc.passes.linear.convolution import to_convolution
from nascc.passes.linear.deploy import deploy
from nascc.passes.linear.operator import Operator, Refusal


def test_pixel_unshuffle_conv_is_a_strided_conv() -> None:
    for size in ((8, 10), None):
        op = fold([unshuffle(3, 2), conv(12, 5, 3, p=1)], size)
        assert isinstance(op, Operator)
        x = image(3, (8, 10))
        check(op, x, conv(12, 5, 3, p=1)[0](F.pixel_unshuffle(x, 2)))
    deployed = deploy(op, "exact", (8, 10))
    assert not isinstance(deployed, Refusal)
    found = deployed.conv
    assert (found.kernel_size, found.stride, found.padding) == ((6, 6), (2, 2), ((2, 2), (2, 2)))


def test_nearest_conv_is_a_transposed_conv_k4_s2_crop_1() -> None:
    op = fold([nearest(3), conv(3, 4, 3, p=1)], None)
    assert isinstance(op, Operator)
    found = to_convolution(op)
    assert found.transposed
    assert (found.kernel_size, found.stride, found.padding) == ((4, 4), (2, 2), ((1, 1), (1, 1)))


def test_bias_through_a_pixel_shuffle_is_a_pattern() -> None:
    stages, x = [conv(3, 8, 3, p=1), shuffle(8, 2)], image(3)
    refused = fold(stages)
    assert isinstance(refused, Refusal) and "pattern" in refused.reason
    check(fold(stages, repair=Repair.ONES), x, run_chain(stages, x))


def test_linear_layers_and_flatten() -> None:
    x, first = image(3, (4, 5)), conv(3, 6, 3, p=1)
    weight, bias = random((7, 6 * 20), seed=1), random((7,), seed=2)
    flat = convert.linear_on_flattened(weight, bias, (4, 5))
    head = random((2, 7), seed=3)
    op = compose(flat, first[1], (4, 5))
    assert isinstance(op, Operator)
    hidden = F.linear(first[0](x).flatten(1), weight, bias)
    check(op, x, hidden[:, :, None, None])
    check(compose(convert.linear(head, None, 2), op, (4, 5)), x, F.linear(hidden, head)[:, :, None, None])
    ops = [convert.linear(weight, bias), convert.linear(head, random((2,), seed=4))]
    row = random((3, 120), seed=5)
    check(compose(ops[1], ops[0]), row, F.linear(F.linear(row, weight, bias), head, random((2,), seed=4)))


@pytest.mark.parametrize(("stride", "padding", "dilation"), [(1, 1, 1), (2, 1, 1), (1, 0, 2), (3, 2, 1)])
def test_global_average_after_a_convolution_is_means_and_a_matrix(stride: int, padding: int, dilation: int) -> None:
    run, op = conv(3, 5, 3, stride, padding, d=dilation)
    pair = pool.shifted_means(op, SIZE)
    assert not isinstance(pair, Refusal)
    means, matrix = pair
    assert means.groups == 3 and matrix.kernel.shape == (5, 27, 1, 1)
    x = image(3)
    found = errors(means, x, expected := _only(means)(x))
    assert max(found.values()) == 0
    check(matrix, expected, run(x).mean((2, 3), keepdim=True))


def _only(op: Operator) -> Callable[[Tensor], Tensor]:
    deployed = deploy(op, "exact", SIZE)
    assert not isinstance(deployed, Refusal)
    return deployed


def test_shifted_means_are_refused_where_they_are_not_plain() -> None:
    for op in (conv_t(3, 4, 3, 2)[1], conv(4, 4, 3, g=2)[1]):
        assert isinstance(pool.shifted_means(op, SIZE), Refusal)


def test_three_dimensions_and_one() -> None:
    for rank, f in ((1, F.conv1d), (3, F.conv3d)):
        a, b = random((4, 3, *[3] * rank), seed=1), random((2, 4, *[2] * rank), seed=2)
        ops = [convert.convolution(w, None, [1] * rank, [p] * rank, [1] * rank) for w, p in ((a, 2), (b, 0))]
        x = random((2, 3, *[5] * rank), seed=3)
        for second, first in pairwise(reversed(ops)):
            check(compose(second, first), x, f(f(x, a, padding=2), b))
