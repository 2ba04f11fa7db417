"""Images that become vectors: any operator that gives one pixel is a linear layer on the flattened image."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from linear.stages import Stage, conv, conv_t, fold, image, normalise, run_chain
from linear.strategies import random, relative
from nascc.passes.linear import convert
from nascc.passes.linear.compose import Repair
from nascc.passes.linear.deploy import Deployed
from nascc.passes.linear.flatten import flatten_image, lift
from nascc.passes.linear.operator import Operator, Refusal

SIZE = (4, 5)


def head(c: int, size: tuple[int, int], o: int = 3) -> Stage:
    """flatten, then linear; the values are kept as images of one pixel."""
    weight, bias = random((o, c * size[0] * size[1]), seed=7), random((o,), seed=8)

    def run(x: Tensor) -> Tensor:
        return F.linear(x.flatten(1), weight, bias)[:, :, None, None]

    return run, convert.linear_on_flattened(weight, bias, size)


CHAINS: dict[str, list[Stage]] = {
    "padded": [conv(2, 4, 3, p=1), head(4, SIZE)],
    "grouped": [conv(2, 4, 3, p=1, g=2), head(4, SIZE)],
    "strided": [conv(2, 4, 3, s=2, p=1), head(4, (2, 3))],
    "transposed": [conv_t(2, 4, 3, 2, 1), head(4, (7, 9))],
    "biased before padded": [conv(2, 3, 1), conv(3, 4, 3, p=1), head(4, SIZE)],
    "shifted before padded": [normalise(2), conv(2, 4, 3, p=1), head(4, SIZE)],
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("repair", [Repair.ONES, Repair.PAD_VALUE])
def test_chains_become_a_linear_layer(name: str, repair: Repair) -> None:
    x = image(2, SIZE)
    op = fold(CHAINS[name], SIZE, repair)
    if isinstance(op, Refusal):
        assert repair is Repair.PAD_VALUE
        return
    flat = flatten_image(op, SIZE)
    assert isinstance(flat, Deployed) and flat.conv.rank == 0 and flat.conv.weight.shape == (3, 2 * 4 * 5)
    assert relative(flat(x), run_chain(CHAINS[name], x).flatten(1)) <= 1e-12


@pytest.mark.parametrize("name", CHAINS)
def test_outlines_have_the_same_shapes(name: str) -> None:
    stages = [(run, op.outline()) for run, op in CHAINS[name]]
    op, outline = fold(CHAINS[name], SIZE, Repair.ONES), fold(stages, SIZE, Repair.ONES)
    assert isinstance(op, Operator) and isinstance(outline, Operator)
    real, planned = flatten_image(op, SIZE), flatten_image(outline, SIZE)
    assert isinstance(real, Deployed) and isinstance(planned, Deployed)
    assert planned.conv.weight.is_meta and planned.conv.weight.shape == real.conv.weight.shape
    assert (planned.conv.bias is None) == (real.conv.bias is None)


@pytest.mark.parametrize("size", [(None, 5), (4, 6)])
def test_only_one_pixel_of_a_known_size_flattens(size: tuple[int | None, int]) -> None:
    found = flatten_image(head(2, SIZE)[1], size)
    assert isinstance(found, Refusal) and "must be one pixel of an image of known size" in found.reason


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_layers_on_vectors_are_layers_on_single_pixels(rank: int, c: int, o: int, bias: bool) -> None:
    weight, vector = random((o, c), seed=1), random((o,), seed=2) if bias else None
    op = lift(convert.linear(weight, vector), rank)
    assert op.rank == rank and op.is_pointwise
    flat = flatten_image(op, (1,) * rank)
    x = random((5, c), seed=3)
    assert isinstance(flat, Deployed)
    torch.testing.assert_close(flat(x.reshape(5, c, *[1] * rank)), F.linear(x, weight, vector), rtol=1e-12, atol=1e-12)
