"""Grouped products, groups taken apart and found again, taps cropped and spaced."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from linear.strategies import Case, channels, common, convolutions, random, relative, transposed
from nascc.passes.errors import PassError
from nascc.passes.linear import convert, rearrange
from nascc.passes.linear.channels import blocks, diagonal_blocks, multiply, regroup
from nascc.passes.linear.convolution import run, to_convolution
from nascc.passes.linear.embed import with_groups
from nascc.passes.linear.gain import support_of
from nascc.passes.linear.operator import Operator


@st.composite
def grouped_pairs(draw: st.DrawFn) -> tuple[torch.Tensor, int, torch.Tensor, int]:
    """second [O, H / g2], g2, first [H, I / g1, 2, 3], g1."""
    out, hidden, inner = draw(channels), draw(st.sampled_from([4, 6, 12])), draw(channels)
    g1, g2 = draw(st.sampled_from(common(hidden, inner))), draw(st.sampled_from(common(out, hidden)))
    return random((out, hidden // g2), draw(st.integers(0, 99))), g2, random((hidden, inner // g1, 2, 3), 7), g1


@given(grouped_pairs())
@settings(max_examples=100, deadline=None)
def test_product_of_groups_is_the_dense_product(pair: tuple[torch.Tensor, int, torch.Tensor, int]) -> None:
    second, g2, first, g1 = pair
    product = multiply(second, g2, first, g1)
    groups = first.shape[1] * g1 // product.shape[1]
    dense = torch.einsum("oh,hixy->oixy", regroup(second, g2, 1), regroup(first, g1, 1))
    assert relative(regroup(product, groups, 1), dense) <= 1e-14


def test_a_permutation_is_picked_and_not_multiplied() -> None:
    order = torch.tensor([3, 0, 2, 2])
    second, first = torch.zeros(4, 4, dtype=torch.float64), random((4, 5, 3), seed=1)
    second[torch.arange(4), order] = torch.tensor([1.0, 2.0, 1.0, 0.0], dtype=torch.float64)
    assert torch.equal(multiply(second, 1, first, 1), torch.einsum("oh,hit->oit", second, first))


@given(st.sampled_from([1, 2, 3, 4, 6, 12]), st.sampled_from([1, 2, 4]))
def test_blocks_are_found_again(groups: int, out: int) -> None:
    kernel = random((12 * out, 12 // groups, 3), seed=groups)
    dense = regroup(kernel, groups, 1)
    assert blocks(support_of(dense), 1) == groups
    assert torch.equal(diagonal_blocks(dense, 1, groups), kernel)


@st.composite
def convs(draw: st.DrawFn) -> tuple[tuple[int, ...], Case]:
    """(size, a convolution of either kind)."""
    rank, c = draw(st.integers(1, 3)), draw(channels)
    return (5,) * rank, draw(st.one_of(convolutions(rank, c), transposed(rank, c)))


@given(convs())
@settings(max_examples=100, deadline=None)
def test_an_operator_comes_back_as_the_convolution_it_was(found: tuple[tuple[int, ...], Case]) -> None:
    size, case = found
    if min(n or 0 for n in case.op.out_size(size)) < 1:
        return
    x = random((2, case.op.c_in, *size), seed=1)
    again = to_convolution(case.op)
    assert relative(run(again, x), case.run(x)) <= 1e-13
    assert all(0 <= o < max(s, d) for o, s, d in zip(again.output_padding, again.stride, again.dilation, strict=True))


@pytest.mark.parametrize("extent", range(-3, 6))
def test_a_transposed_convolution_cropped_more_after_than_before(extent: int) -> None:
    op = Operator(random((1, 1, 2), 1), ((-2, 0),), (2,), (1,), (extent,))
    x = random((1, 1, 4), seed=2)
    whole = torch.nn.functional.pad(F.conv_transpose1d(x, op.kernel.flip(2), stride=2, dilation=2), [0, 9])
    expected = whole[..., : (op.out_size((4,))[0] or 0)]
    found = to_convolution(op)
    assert relative(run(found, x), expected) <= 1e-14
    assert found.output_padding[0] >= 0


def test_zero_shells_are_cropped_and_the_dilation_found() -> None:
    weight = torch.zeros(2, 3, 9, 7, dtype=torch.float64)
    weight[:, :, 2:7:2, 3:4] = random((2, 3, 3, 1), seed=1)
    found = to_convolution(convert.convolution(weight, None, [1, 1], [4, 3], [1, 1]))
    assert found.kernel_size == (3, 1) and found.dilation == (2, 1) and found.padding == ((2, 2), (0, 0))


def test_an_outline_has_the_same_shape_and_no_values() -> None:
    op = convert.convolution(random((4, 2, 3, 3), 1), random((4,), 2), [1, 1], [1, 1], [1, 1], 2)
    outline = with_groups(op.outline(), 1)
    assert outline.kernel.is_meta and outline.kernel.shape == (4, 4, 3, 3)
    assert outline.gain is not None and torch.equal(outline.gain, with_groups(op, 1).gain)


def test_what_pads_or_crops_is_not_pointwise() -> None:
    assert convert.identity(3, 2).is_pointwise
    assert not convert.constant_pad(3, [(0, -1), (0, 0)]).is_pointwise
    assert not convert.constant_pad(3, [(1, 0), (0, 0)]).is_pointwise
    assert not replace(convert.identity(3, 2), ones=random((3, 1, 1), 1)).is_pointwise


@pytest.mark.parametrize(
    "make",
    [
        lambda: convert.convolution(torch.zeros(0, 3, 1, 1), None, [1, 1], [0, 0], [1, 1]),
        lambda: convert.convolution(torch.zeros(4, 3, 1, 1), None, [1, 1], [0, 0], [1, 1], 3),
        lambda: convert.linear(torch.zeros(3, 0), None),
        lambda: convert.identity(0, 2),
        lambda: convert.constant_pad(0, [(1, 1)]),
        lambda: rearrange.select([], 4, 2),
    ],
)
def test_no_channels_no_operator(make: Callable[[], Operator]) -> None:
    with pytest.raises(PassError, match="channels that its groups divide"):
        make()
