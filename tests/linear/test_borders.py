"""A bias before a padding: refused as it is, exact with a map, a tile, a channel of ones or a pad value."""

import pytest
import torch
from torch.nn import functional as F

from linear.stages import SIZE, Stage, average, batch_norm, conv, conv_t, fold, image, nearest, normalise, run_chain
from linear.strategies import check, errors, random
from nascc.passes.linear import border, convert
from nascc.passes.linear.compose import Repair, compose
from nascc.passes.linear.deploy import BORDER_MAP, BORDER_TILE, ONES_CHANNEL, PAD_VALUE, deploy, fixes_for
from nascc.passes.linear.operator import Operator, Refusal

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


def test_no_border_tile_where_a_stride_moves_the_last_row() -> None:
    op = fold([conv(3, 8, 1), conv(8, 8, 3, s=2, p=1), conv(8, 3, 1)], size=None, repair=Repair.ONES)
    assert isinstance(op, Operator)
    assert fixes_for(op, (None, None), (8, 8)) == (ONES_CHANNEL,)
    refused = deploy(op, BORDER_TILE, (None, None), (8, 8))
    assert isinstance(refused, Refusal) and "border_tile is not exact here, only ones_channel" in refused.reason


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


def test_a_bias_before_an_upsampling_rides_on_ones_only_over_whole_cells() -> None:
    whole, ragged = conv_t(3, 4, 2, 2), conv_t(3, 4, 3, 2)
    assert border.unit_taps(whole[1], (None, None)) == ((-1, 0), (-1, 0))
    assert border.unit_taps(ragged[1], SIZE) is None
    x, last = image(3), conv(4, 2, 3, p=1)
    check(fold([whole, last], repair=Repair.ONES), x, run_chain([whole, last], x))
    refused = fold([ragged, last], repair=Repair.ONES)
    assert isinstance(refused, Refusal) and "can not ride on a channel of ones" in refused.reason


def test_pad_value_is_refused_where_rounding_would_eat_it() -> None:
    weight = torch.tensor([[1.0, 1.0], [1.0, 1.0 + 1e-3]], dtype=torch.float64)
    first = convert.linear(weight, torch.tensor([1.0, -1.0], dtype=torch.float64), rank=2)
    refused = compose(conv(2, 2, 3, p=1)[1], first, None, Repair.PAD_VALUE)
    assert isinstance(refused, Refusal) and "rounding" in refused.reason


def test_a_transposed_convolution_has_no_pad_value() -> None:
    stages, x = [conv(4, 4, 1), conv_t(4, 2, 4, 2, p=1)], image(4)
    refused = fold(stages, repair=Repair.PAD_VALUE)
    assert isinstance(refused, Refusal) and "zeros of a transposed convolution" in refused.reason
    check(fold(stages, repair=Repair.ONES), x, run_chain(stages, x))


def test_padding_with_a_value_before_an_upsampling() -> None:
    pad: Stage = (lambda x: F.pad(x, [1] * 4, value=2.0), convert.constant_pad(3, [(1, 1), (1, 1)], 2.0))
    refused = fold([pad, nearest(3)])
    assert isinstance(refused, Refusal) and "no padding that could hold" in refused.reason
    check(fold([pad, nearest(3)], repair=Repair.ONES), image(3), run_chain([pad, nearest(3)], image(3)))


def test_a_correction_needs_the_outline_of_its_own_input() -> None:
    corrected = fold([conv(4, 4, 1), conv(4, 4, 3, p=1)], repair=Repair.ONES)
    assert isinstance(corrected, Operator) and corrected.ones is not None
    refused = compose(corrected, conv(3, 4, 3, p=2, bias=False)[1], SIZE, Repair.ONES)
    assert isinstance(refused, Refusal) and "not the first's input" in refused.reason


def test_a_pad_value_that_nobody_reads_is_dropped() -> None:
    pad, undo = (convert.constant_pad(3, [(p, p), (p, p)], 2.0) for p in (1, -1))
    op = compose(undo, pad)
    assert isinstance(op, Operator) and op.pad_value is None and op.is_pointwise


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_no_pad_value(bad: float) -> None:
    first = convert.linear(torch.full((2, 2), bad, dtype=torch.float64), random((2,), 1), rank=2)
    refused = compose(conv(2, 2, 3, p=1)[1], first, None, Repair.PAD_VALUE)
    assert isinstance(refused, Refusal) and "finite" in refused.reason
