"""Folds do not depend on how many threads there are, bit for bit."""

from dataclasses import replace

import pytest
import torch

from linear.strategies import random
from nascc.passes.linear import convert
from nascc.passes.linear.add import add
from nascc.passes.linear.compose import compose
from nascc.passes.linear.operator import Operator
from nascc.passes.linear.threads import one_thread


def _fold() -> Operator:
    conv = convert.convolution
    expand = conv(random((384, 96, 1, 1), 1), None, [1, 1], [0, 0], [1, 1])
    depthwise = conv(random((384, 1, 5, 5), 2), random((384,), 3), [1, 1], [2, 2], [1, 1], 384)
    project = conv(random((96, 384, 1, 1), 4), random((96,), 5), [1, 1], [0, 0], [1, 1])
    inner = compose(depthwise, expand)
    assert isinstance(inner, Operator)
    block = compose(project, inner)
    assert isinstance(block, Operator)
    total = add([convert.identity(96, 2), block])
    assert isinstance(total, Operator)
    return total


def test_any_number_of_threads_gives_the_same_bits() -> None:
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4, 1):
            torch.set_num_threads(threads)
            found.append(_fold())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert torch.equal(other.kernel, found[0].kernel)
        assert other.bias is not None and found[0].bias is not None and torch.equal(other.bias, found[0].bias)


def test_long_sums_do_not_follow_the_threads() -> None:
    long = convert.convolution(random((1, 1, 100_000), 1), None, [1], [0], [1])
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append(replace(long).gain)
    finally:
        torch.set_num_threads(before)
    first = found[0]
    assert first is not None
    assert all(gain is not None and torch.equal(gain, first) for gain in found)


def test_threads_come_back_after_a_failure() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="inside"), one_thread():
        raise RuntimeError("inside")
    assert torch.get_num_threads() == before
