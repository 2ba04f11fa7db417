"""Average pools: which are convolutions, which only means, and which neither."""

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from linear.strategies import check, pool_of, random, relative
from nascc.passes.linear import convert, pool
from nascc.passes.linear.compose import compose
from nascc.passes.linear.deploy import deploy
from nascc.passes.linear.operator import Operator, Refusal

POOLS = [
    pool.Pool((k, 3), (s, 2), (p, 1), ceil, include, divisor)
    for k, s, p, ceil, include, divisor in product((2, 3), (1, 2, 3), (0, 1), (False, True), (False, True), (None, 4))
]


@pytest.mark.parametrize("size", [(6, 7), (5, 8)])
@pytest.mark.parametrize("a", POOLS)
def test_every_pool_is_what_it_says(a: pool.Pool, size: tuple[int, int]) -> None:
    x = random((2, 3, *size), seed=1)
    expected = pool_of(a)(x)
    assert a.out_size(size) == tuple(expected.shape[2:])
    found = pool.average_pool(3, a, size)
    op = found.operator if isinstance(found, pool.Averaging) else found
    if isinstance(found, pool.Averaging):
        assert found.size == tuple(expected.shape[2:])
        assert relative(pool_of(a)(torch.ones_like(x)), torch.ones_like(expected)) <= 1e-15
    if isinstance(op, Operator):
        check(op, x, expected, 1e-13)
    elif isinstance(op, Refusal):
        assert a.ceil_mode and a.count_include_pad and any(a.padding)


@pytest.mark.parametrize("a", POOLS)
def test_pools_of_any_size(a: pool.Pool) -> None:
    found = pool.average_pool(3, a, (6, 7), (None, None))
    op = found.operator if isinstance(found, pool.Averaging) else found
    if isinstance(op, Operator):
        for size in ((6, 7), (5, 8), (9, 9)):
            x = random((1, 3, *size), seed=2)
            check(op, x, pool_of(a)(x), 1e-13)
    elif isinstance(op, Refusal):
        assert a.ceil_mode and (a.divisor_override or (a.count_include_pad and any(a.padding)))


def test_global_and_adaptive_averages() -> None:
    x = random((2, 3, 6, 8), seed=1)
    for outputs in ((1, 1), (3, 4), (6, 2)):
        found = pool.adaptive_average_pool(3, outputs, (6, 8))
        assert found.operator is not None
        check(found.operator, x, F.adaptive_avg_pool2d(x, outputs), 1e-13)
    uneven = pool.adaptive_average_pool(3, (4, 3), (6, 8))
    assert uneven.operator is None and uneven.adaptive
    assert pool.global_average_pool(3, (6, 8), (None, 8)).operator is None


def test_the_mean_after_a_convolution() -> None:
    x, weight = random((2, 3, 6, 7), seed=1), random((4, 3, 3, 3), seed=2)
    conv = convert.convolution(weight, None, [1, 1], [1, 1], [1, 1])
    mean = pool.global_average_pool(4, (6, 7))
    assert mean.operator is not None
    expected = F.conv2d(x, weight, padding=1).mean((2, 3), keepdim=True)
    check(compose(mean.operator, conv, (6, 7)), x, expected)
    pair = pool.shifted_means(conv, (6, 7))
    assert not isinstance(pair, Refusal)
    check(pair[1], _run(pair[0], x), expected)


def _run(op: Operator, x: Tensor) -> Tensor:
    deployed = deploy(op, "exact", tuple(x.shape[2:]))
    assert not isinstance(deployed, Refusal)
    return deployed(x)
