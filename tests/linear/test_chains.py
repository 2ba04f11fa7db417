"""Chains of operators: what is exact is exact at the border too, what is not is refused with its reason."""

import pytest

from linear.stages import average, batch_norm, conv, conv_t, fold, image, mixed, nearest, normalise, run_chain, shuffle
from linear.strategies import check
from nascc.passes.linear.compose import Repair
from nascc.passes.linear.operator import Operator, Refusal

EXACT_CHAINS = {
    "all padding first": [conv(3, 4, 3, p=3), conv(4, 5, 3), conv(5, 2, 3)],
    "all padding first, strides and dilations": [conv(3, 4, 3, s=2, p=4), conv(4, 5, 2, d=2), conv(5, 2, 1, s=2)],
    "kxk, 1x1": [conv(3, 8, 3, p=1), conv(8, 2, 1)],
    "1x1 without bias, padded kxk": [conv(3, 8, 1, bias=False), conv(8, 8, 3, p=1, g=8), conv(8, 3, 1)],
    "full padding without bias, padded kxk": [conv(3, 4, 3, p=2, bias=False), conv(4, 4, 3, p=1)],
    "strided projection": [conv(3, 4, 1, s=2, bias=False), conv(4, 4, 3, p=1)],
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


@pytest.mark.parametrize("name", EXACT_CHAINS)
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


def test_groups_that_nest_stay_and_others_meet_in_blocks() -> None:
    nested, apart = (fold(EXACT_CHAINS[n]) for n in ("groups that nest", "groups that do not nest"))
    assert isinstance(nested, Operator) and nested.groups == 2
    assert isinstance(apart, Operator) and apart.groups == 2


def test_a_shuffle_undone_leaves_groups() -> None:
    op = fold([conv(8, 8, 3, p=1, g=4), mixed(8, 4), mixed(8, 2)])
    assert isinstance(op, Operator) and op.groups == 4


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 3), (1, 2)])
def test_patches_before_a_padded_kernel_need_a_size_they_divide(kernel: int, stride: int) -> None:
    stages = [conv(3, 4, kernel, s=stride, bias=False), conv(4, 4, 3, p=1)]
    x = image(3, (6, 12))
    check(fold(stages, (6, 12)), x, run_chain(stages, x))
    if kernel > 1:
        assert isinstance(fold(stages, (7, 12)), Refusal)
        assert isinstance(fold(stages, None), Refusal)
