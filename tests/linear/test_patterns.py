"""Every row of the table of patterns: what is exact is exact at the border too, what is not is refused with its reason."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from linear.strategies import check, errors, random
from nascc.passes.linear import convert, pool, rearrange
from nascc.passes.linear.add import add
from nascc.passes.linear.compose import Repair, compose
from nascc.passes.linear.concatenate import concatenate
from nascc.passes.linear.convolution import to_convolution
from nascc.passes.linear.deploy import BORDER_MAP, BORDER_TILE, ONES_CHANNEL, PAD_VALUE, deploy, fixes_for
from nascc.passes.linear.operator import Operator, Refusal

Stage = tuple[Callable[[Tensor], Tensor], Operator]
SIZE = (7, 10)
FIXED = {BORDER_MAP, ONES_CHANNEL}


def conv(c: int, o: int, k: int, s: int = 1, p: int = 0, *, d: int = 1, g: int = 1, bias: bool = True) -> Stage:
    weight = random((o, c // g, k, k), seed=10 * k + o)
    vector = random((o,), seed=o) if bias else None
    op = convert.convolution(weight, vector, [s, s], [p, p], [d, d], g)
    return lambda x: F.conv2d(x, weight, vector, s, p, d, g), op


def conv_t(c: int, o: int, k: int, s: int, p: int = 0, *, bias: bool = True) -> Stage:
    weight = random((c, o, k, k), seed=k)
    vector = random((o,), seed=o) if bias else None
    op = convert.convolution(weight, vector, [s, s], [p, p], [1, 1], transposed=True)
    return lambda x: F.conv_transpose2d(x, weight, vector, s, p), op


def batch_norm(c: int) -> Stage:
    gamma, beta, mean = (random((c,), seed=k) for k in (1, 2, 3))
    var = random((c,), seed=4).abs() + 0.5
    return (
        lambda x: F.batch_norm(x, mean, var, gamma, beta, eps=1e-3),
        convert.batch_norm(gamma, beta, mean, var, 1e-3, rank=2),
    )


def normalise(c: int, *, shift: bool = True) -> Stage:
    mean, std = random((c,), seed=5) * shift, random((c,), seed=6).abs() + 0.5
    op = convert.per_channel(1 / std, -mean / std, rank=2)
    return lambda x: (x - mean[:, None, None]) / std[:, None, None], op


def average(c: int, k: int, s: int, p: int = 0, include: bool = True) -> Stage:
    found = pool.average_pool(c, pool.Pool((k, k), (s, s), (p, p), count_include_pad=include), SIZE)
    assert not isinstance(found, Refusal)
    op = found if isinstance(found, Operator) else found.operator
    assert op is not None
    return lambda x: F.avg_pool2d(x, k, s, p, count_include_pad=include), op


def run_chain(stages: list[Stage], x: Tensor) -> Tensor:
    for run, _ in stages:
        x = run(x)
    return x


def fold(stages: list[Stage], size: tuple[int, ...] | None = SIZE, repair: Repair = Repair.NONE) -> Operator | Refusal:
    op = stages[0][1]
    for _, second in stages[1:]:
        found = compose(second, op, size, repair)
        if isinstance(found, Refusal):
            return found
        op = found
    return op


def image(c: int, size: tuple[int, ...] = SIZE) -> Tensor:
    return random((2, c, *size), seed=99)


def shuffle(c: int, r: int) -> Stage:
    return lambda x: F.pixel_shuffle(x, r), rearrange.pixel_shuffle(c // r**2, r).operator


def unshuffle(c: int, r: int) -> Stage:
    return lambda x: F.pixel_unshuffle(x, r), rearrange.pixel_unshuffle(c, r)


def nearest(c: int) -> Stage:
    op = rearrange.nearest_upsampling(c, [2, 2], SIZE).operator
    assert op is not None
    return lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), op


def mixed(c: int, groups: int) -> Stage:
    return lambda x: F.channel_shuffle(x, groups), rearrange.channel_shuffle(c, groups, rank=2)


EXACT_CHAINS = {
    "all padding first": [conv(3, 4, 3, p=3), conv(4, 5, 3), conv(5, 2, 3)],
    "all padding first, strides and dilations": [conv(3, 4, 3, s=2, p=4), conv(4, 5, 2, d=2), conv(5, 2, 1, s=2)],
    "kxk, 1x1": [conv(3, 8, 3, p=1), conv(8, 2, 1)],
    "1x1 without bias, padded kxk": [conv(3, 8, 1, bias=False), conv(8, 8, 3, p=1, g=8), conv(8, 3, 1)],
    "full padding without bias, padded kxk": [conv(3, 4, 3, p=2, bias=False), conv(4, 4, 3, p=1)],
    "strided projection": [conv(3, 4, 1, s=2, bias=False), conv(4, 4, 3, p=1)],
    "patches, padded kxk": [conv(3, 4, 2, s=2, bias=False), conv(4, 4, 3, p=1)],
    "scale, padded conv": [normalise(3, shift=False), conv(3, 4, 3, p=1)],
    "normalisation, valid conv": [normalise(3), conv(3, 4, 3)],
    "batch norm, 1x1": [batch_norm(3), conv(3, 4, 1)],
    "conv, batch norm": [conv(3, 4, 3, s=2, p=1), batch_norm(4)],
    "groups that nest": [conv(8, 8, 3, p=1, g=2), conv(8, 8, 1, g=4)],
    "depthwise twice": [conv(8, 8, 3, p=2, g=8), conv(8, 16, 3, g=8)],
    "groups that do not nest": [conv(12, 12, 3, p=1, g=4), conv(12, 12, 1, g=6)],
    "groups, channel shuffle, groups": [conv(8, 8, 3, p=1, g=4), mixed(8, 4), conv(8, 8, 1, g=4)],
    "conv, average pool": [conv(3, 4, 3, p=1), average(4, 3, 2)],
    "padded average pool, 1x1": [average(3, 3, 1, p=1), conv(3, 4, 1)],
    "1x1 without bias, padded average pool": [conv(3, 4, 1, bias=False), average(4, 3, 2, p=1)],
    "conv, pixel shuffle": [conv(3, 8, 3, p=1, bias=False), shuffle(8, 2)],
    "nearest, conv": [nearest(3), conv(3, 4, 3, p=1)],
    "conv, nearest": [conv(3, 4, 3, p=1), nearest(4)],
    "transposed, 1x1": [conv_t(3, 4, 3, 2, p=1), conv(4, 2, 1)],
    "1x1 without bias, transposed": [conv(3, 4, 1, bias=False), conv_t(4, 2, 3, 2, p=1)],
    "transposed without crop and bias, padded conv": [conv_t(3, 4, 2, 2, bias=False), conv(4, 2, 3, p=1)],
    "transposed with bias, valid conv": [conv_t(3, 4, 4, 2, p=1), conv(4, 2, 3)],
    "transposed, strided conv": [conv_t(3, 4, 4, 2, bias=False), conv(4, 2, 3, s=2, p=1)],
}


@pytest.mark.parametrize("name", EXACT_CHAINS)
def test_exact_chain(name: str) -> None:
    stages = EXACT_CHAINS[name]
    x = image(stages[0][1].c_in)
    check(fold(stages), x, run_chain(stages, x))


DYNAMIC = [n for n in EXACT_CHAINS if n not in ("patches, padded kxk",)]


@pytest.mark.parametrize("name", DYNAMIC)
@pytest.mark.parametrize("size", [(6, 6), (7, 9)])
def test_exact_chain_of_any_size(name: str, size: tuple[int, int]) -> None:
    stages = EXACT_CHAINS[name]
    x = image(stages[0][1].c_in, size)
    check(fold(stages, size=None), x, run_chain(stages, x))


REFUSED = {
    "kxk padded, kxk padded": ([conv(3, 4, 3, p=1), conv(4, 4, 3, p=1)], "depends on data"),
    "kxk valid, kxk padded": ([conv(3, 4, 3), conv(4, 4, 3, p=1)], "depends on data"),
    "padded conv, padded average pool": ([conv(3, 4, 3, p=1), average(4, 3, 2, p=1)], "depends on data"),
    "cropped transposed, padded conv": ([conv_t(3, 4, 4, 2, p=1, bias=False), conv(4, 2, 3, p=1)], "depends on data"),
    "stride before upsampling": ([conv(3, 4, 3, s=2, p=1), conv_t(4, 2, 2, 2)], "a stride before an upsampling"),
    "rational resampling": ([conv_t(3, 4, 3, 3), conv(4, 2, 2, s=2)], "resampling by (3, 3) / (2, 2)"),
    "channels": ([conv(3, 4, 3), conv(5, 2, 1)], "the first gives 4 channels"),
    "kernel larger than the image": ([conv(3, 4, 3), conv(4, 2, 9)], "larger than its padded input"),
}


@pytest.mark.parametrize("repair", Repair)
@pytest.mark.parametrize("name", REFUSED)
def test_refused_whatever_the_repair(name: str, repair: Repair) -> None:
    stages, reason = REFUSED[name]
    found = fold(stages, repair=repair)
    assert isinstance(found, Refusal)
    assert reason in found.reason


NEEDS_FIX = {
    "1x1 with bias, padded kxk": [conv(8, 4, 1), conv(4, 4, 3, p=1, g=4), conv(4, 8, 1)],
    "1x1 with bias, strided padded kxk": [conv(8, 4, 1), conv(4, 4, 5, s=2, p=2, g=4), conv(4, 8, 1)],
    "batch norm, padded conv": [batch_norm(3), conv(3, 4, 3, p=1)],
    "normalisation, padded conv": [normalise(3), conv(3, 4, 3, s=2, p=1)],
    "1x1 with bias, padded average pool": [conv(4, 4, 1), average(4, 3, 1, p=1)],
}


@pytest.mark.parametrize("name", NEEDS_FIX)
def test_exact_only_with_a_fix(name: str) -> None:
    stages = NEEDS_FIX[name]
    x = image(stages[0][1].c_in)
    expected = run_chain(stages, x)
    naive = fold(stages)
    assert isinstance(naive, Refusal)
    assert "bias does not reach the second's padding" in naive.reason
    found = {}
    for repair in (Repair.ONES, Repair.PAD_VALUE):
        op = fold(stages, repair=repair)
        assert isinstance(op, Operator), op
        found |= errors(op, x, expected)
    assert set(found) >= {BORDER_MAP, PAD_VALUE}
    assert max(found.values()) <= 1e-10


def test_pad_value_of_a_normalisation_is_the_mean() -> None:
    stages = [normalise(3), conv(3, 4, 3, p=1)]
    op = fold(stages, repair=Repair.PAD_VALUE)
    assert isinstance(op, Operator) and op.pad_value is not None
    torch.testing.assert_close(op.pad_value, random((3,), seed=5), rtol=1e-12, atol=0)


def test_pad_value_needs_no_more_channels_than_the_input_has() -> None:
    found = fold([conv(3, 8, 1), conv(8, 8, 3, p=1, g=8)], repair=Repair.PAD_VALUE)
    assert isinstance(found, Refusal)
    assert "no constant of 3 channels" in found.reason


def test_border_tile_serves_every_size() -> None:
    stages = [conv(3, 8, 1), conv(8, 8, 5, p=2, g=8), conv(8, 3, 1)]
    op = fold(stages, size=None, repair=Repair.ONES)
    assert isinstance(op, Operator)
    assert fixes_for(op, (None, None), (4, 4)) == (BORDER_TILE, ONES_CHANNEL)
    assert fixes_for(op, (None, None), (3, 4)) == (ONES_CHANNEL,)
    deployed = deploy(op, BORDER_TILE, (None, None), (4, 4))
    assert not isinstance(deployed, Refusal)
    assert deployed.addend is not None and deployed.addend.shape == (3, 5, 5)
    for size in [(4, 4), (4, 9), (13, 5)]:
        x = image(3, size)
        assert float((deployed(x) - run_chain(stages, x)).abs().max()) <= 1e-12


def test_pad_first_and_pad_bias_blocks_need_no_fix() -> None:
    weight, bias = random((8, 3, 1, 1), seed=1), random((8,), seed=2)
    expand: Stage = (lambda x: F.conv2d(x, weight, bias), convert.convolution(weight, bias, [1, 1], [0, 0], [1, 1]))
    shift = bias[:, None, None]
    pad_bias: Stage = (lambda x: F.pad(x - shift, [1] * 4) + shift, convert.constant_pad(8, [(1, 1), (1, 1)], bias))
    pad: Stage = (lambda x: F.pad(x, [1] * 4), convert.constant_pad(3, [(1, 1), (1, 1)]))
    rest = [conv(8, 8, 3, g=8), conv(8, 3, 1)]
    for stages in ([pad, expand, *rest], [expand, pad_bias, *rest]):
        op = fold(stages, size=None)
        assert isinstance(op, Operator) and op.pad_value is None and op.ones is None
        check(op, image(3), run_chain(stages, image(3)))


def test_pad_bias_written_as_three_operators() -> None:
    value = random((3,), seed=7)
    one = torch.ones(3, dtype=torch.float64)
    parts = [
        convert.per_channel(one, -value, 2),
        convert.constant_pad(3, [(1, 2), (0, 1)]),
        convert.per_channel(one, value, 2),
    ]
    op = parts[0]
    for second in parts[1:]:
        found = compose(second, op, repair=Repair.PAD_VALUE)
        assert isinstance(found, Operator)
        op = found
    assert op.pad_value is not None and op.bias is None
    x = image(3)
    shift = value[:, None, None]
    check(op, x, F.pad(x - shift, [0, 1, 1, 2]) + shift)


def test_groups_that_nest_stay_and_others_meet_in_blocks() -> None:
    nested, apart = (fold(EXACT_CHAINS[n]) for n in ("groups that nest", "groups that do not nest"))
    assert isinstance(nested, Operator) and nested.groups == 2
    assert isinstance(apart, Operator) and apart.groups == 2


def test_a_shuffle_undone_leaves_groups() -> None:
    op = fold([conv(8, 8, 3, p=1, g=4), mixed(8, 4), mixed(8, 2)])
    assert isinstance(op, Operator) and op.groups == 4


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
    "strides": ([conv(4, 4, 3, s=2, p=1)[1], conv(4, 4, 1)[1]], "different strides"),
    "sizes": ([conv(4, 4, 3)[1], conv(4, 4, 1)[1]], "different sizes"),
    "channels": ([conv(4, 4, 1)[1], conv(4, 6, 1)[1]], "different channels"),
    "inputs": ([conv(4, 4, 1)[1], conv(6, 4, 1)[1]], "same input"),
    "borders": (
        [
            compose_or_fail
            for compose_or_fail in (
                compose(
                    conv(4, 4, 3, p=1)[1], convert.per_channel(torch.ones(4), torch.ones(4), 2), None, Repair.PAD_VALUE
                ),
                conv(4, 4, 3, p=1)[1],
            )
            if isinstance(compose_or_fail, Operator)
        ],
        "pad with different values",
    ),
}


@pytest.mark.parametrize("name", REFUSED_FORKS)
def test_refused_fork(name: str) -> None:
    ops, reason = REFUSED_FORKS[name]
    found = add(ops)
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
