"""Branches of one input: summed, concatenated, or refused with the reason."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from linear.stages import (
    SIZE,
    Stage,
    average,
    batch_norm,
    conv,
    fold,
    image,
    normalise,
    run_chain,
)
from linear.strategies import check, random
from nascc.passes.linear import convert, rearrange
from nascc.passes.linear.add import add
from nascc.passes.linear.compose import Repair, compose
from nascc.passes.linear.concatenate import concatenate, take_outputs
from nascc.passes.linear.convolution import to_convolution
from nascc.passes.linear.operator import Operator, Refusal


def test_residual_is_a_dirac_kernel() -> None:
    block = [conv(4, 8, 1, bias=False), conv(8, 8, 3, p=1, g=8), conv(8, 4, 1)]
    op = fold(block)
    assert isinstance(op, Operator)
    total = add([op, convert.identity(4, 2)])
    x = image(4)
    check(total, x, x + run_chain(block, x))
    assert isinstance(total, Operator) and total.offsets == ((-1, 0, 1), (-1, 0, 1))


def test_residual_needs_its_centre_at_the_padding() -> None:
    refused = add([conv(4, 4, 3)[1], convert.identity(4, 2)])
    assert isinstance(refused, Refusal) and "different sizes" in refused.reason


def test_two_linear_residual_blocks() -> None:
    blocks = [[conv(4, 8, 3, p=1), conv(8, 4, 1)], [conv(4, 8, 1), conv(8, 4, 1)]]
    ops, x = [], image(4)
    for block in blocks:
        inner = fold(block)
        assert isinstance(inner, Operator)
        total = add([convert.identity(4, 2), inner])
        assert isinstance(total, Operator)
        ops.append(total)
    expected = x
    for block in blocks:
        expected = expected + run_chain(block, expected)
    check(compose(ops[1], ops[0], SIZE), x, expected)
    refused = compose(ops[0], ops[1], SIZE)
    assert isinstance(refused, Refusal) and "bias" in refused.reason


def parallel(
    branches: list[list[Stage]], x: Tensor, join: Callable[..., Operator | Refusal], size: bool = True
) -> None:
    ops = []
    for branch in branches:
        op = fold(branch, SIZE if size else None)
        assert isinstance(op, Operator), op
        ops.append(op)
    values = [run_chain(branch, x) for branch in branches]
    check(
        join(ops, SIZE if size else None),
        x,
        torch.cat(values, 1) if join is concatenate else sum(values[1:], values[0]),
    )


IDENTITY: Stage = (lambda x: x, convert.identity(4, 2))
FORKS = {
    "RepVGG": [[conv(4, 4, 3, p=1, bias=False), batch_norm(4)], [conv(4, 4, 1), batch_norm(4)], [batch_norm(4)]],
    "RepVGG, strided": [[conv(4, 6, 3, s=2, p=1)], [conv(4, 6, 1, s=2)]],
    "DBB": [
        [conv(4, 4, 5, p=2)],
        [conv(4, 4, 1, bias=False), conv(4, 4, 5, p=2)],
        [conv(4, 4, 1, bias=False), average(4, 5, 1, p=2)],
        [conv(4, 4, 1)],
    ],
    "dilated": [[conv(4, 6, 3, p=d, d=d)] for d in (1, 2, 3)],
    "depthwise": [[conv(4, 4, k, p=k // 2, g=4)] for k in (3, 5)] + [[IDENTITY]],
    "groups that nest": [[conv(4, 4, 3, p=1, g=g)] for g in (2, 4)],
    "even": [[conv(4, 6, 2, s=2)], [conv(4, 6, 4, s=2, p=1)]],
}


@pytest.mark.parametrize("join", [add, concatenate])
@pytest.mark.parametrize("name", FORKS)
def test_fork(name: str, join: Callable[..., Operator | Refusal]) -> None:
    parallel(FORKS[name], image(4, (8, 10) if name == "even" else SIZE), join, size=name != "even")


def test_acb_kernels_of_different_shape() -> None:
    tall, wide, x = random((6, 4, 3, 1), seed=1), random((6, 4, 1, 3), seed=2), image(4)
    square = conv(4, 6, 3, p=1)
    ops = [square[1]]
    ops += [convert.convolution(w, None, [1, 1], p, [1, 1]) for w, p in ((tall, [1, 0]), (wide, [0, 1]))]
    check(add(ops), x, square[0](x) + F.conv2d(x, tall, padding=(1, 0)) + F.conv2d(x, wide, padding=(0, 1)))


def test_merged_kernels_find_their_spacing_again() -> None:
    ops = [conv(4, 6, 3, p=d, d=d)[1] for d in (2, 4)]
    merged = add(ops)
    assert isinstance(merged, Operator)
    found = to_convolution(merged)
    assert found.kernel_size == (5, 5) and found.dilation == (2, 2) and found.padding == ((4, 4), (4, 4))


REFUSED_FORKS = {
    "kernels": ([conv(4, 4, 9, p=1)[1], conv(4, 4, 9, p=1)[1]], "larger than its padded input"),
    "strides": ([conv(4, 4, 3, s=2, p=1)[1], conv(4, 4, 1)[1]], "different strides"),
    "sizes": ([conv(4, 4, 3)[1], conv(4, 4, 1)[1]], "different sizes"),
    "channels": ([conv(4, 4, 1)[1], conv(4, 6, 1)[1]], "different channels"),
    "inputs": ([conv(4, 4, 1)[1], conv(6, 4, 1)[1]], "same input"),
    "borders": ([convert.constant_pad(4, [(1, 1)] * 2, v) for v in (1.0, 2.0)], "pad with different values"),
}


@pytest.mark.parametrize("name", REFUSED_FORKS)
def test_refused_fork(name: str) -> None:
    ops, reason = REFUSED_FORKS[name]
    found = add(ops, (6, 9))
    assert isinstance(found, Refusal)
    assert reason in found.reason


def test_branches_that_pad_with_different_values_meet_on_ones() -> None:
    stages, other, x = [normalise(4), conv(4, 6, 3, p=1)], conv(4, 6, 5, p=2), image(4)
    first = fold(stages, repair=Repair.PAD_VALUE)
    assert isinstance(first, Operator)
    check(add([first, other[1]], SIZE, Repair.ONES), x, run_chain(stages, x) + other[0](x))


def test_split_convolutions_concat_is_one_grouped_convolution() -> None:
    x, halves = image(8), [conv(4, 6, 3, p=1), conv(4, 6, 5, p=2)]
    ops = []
    for k, (_, op) in enumerate(halves):
        part = compose(op, rearrange.select(range(4 * k, 4 * k + 4), 8, 2))
        assert isinstance(part, Operator)
        ops.append(part)
    merged = concatenate(ops)
    assert isinstance(merged, Operator) and merged.groups == 2
    check(merged, x, torch.cat([halves[0][0](x[:, :4]), halves[1][0](x[:, 4:])], 1))


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_outputs_taken_from_one_operator(groups: int) -> None:
    stages, x = [conv(4, 8, 1), conv(8, 8, 3, p=1, g=groups)], image(4)
    op, order = fold(stages, repair=Repair.ONES), [5, 0, 0, 7]
    assert isinstance(op, Operator)
    check(take_outputs(op, order), x, run_chain(stages, x)[:, order])
    outline = take_outputs(op.outline(), order)
    assert outline.kernel.is_meta and outline.c_out == 4 and outline.gain is not None
    assert torch.equal(outline.gain, take_outputs(op, order).gain)
