"""PruneChannelBypass on hand-written values: masks of any kind, several readers, parts, zeros, and what it refuses."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit import check_pass, ir, operators, randomised
from nascc.passes import EvaluateConstants, PruneChannelBypass, run_pass
from nascc.passes import graph as g
from pruned_networks import MOVES, X, count, pruned, shapes

aten = torch.ops.aten


class Reads(nn.Module):
    """A convolution with masked filters, its input beside them, and a function of all three."""

    def __init__(self, function: object, kept: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.first, self.conv = nn.Conv2d(4, 8, 1), nn.Conv2d(8, 8, 3, stride, 1)
        self.a, self.b = nn.Conv2d(8, 3, 1), nn.Conv2d(8, 2, 3)
        self.register_buffer("mask", (torch.arange(8) < kept).float().reshape(1, -1, 1, 1))
        self.function = function

    def forward(self, x: Tensor) -> object:
        x = self.first(x)
        return self.function(self, x, F.relu(self.conv(x)), self.mask)  # type: ignore[operator]


def mixed(y: Tensor, x: Tensor, m: Tensor) -> Tensor:
    return y * m + x * (1 - m)


def test_several_readers_share_one_concatenation() -> None:
    def both(self: Reads, x: Tensor, y: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        z = mixed(y, x, m)
        return self.a(z), self.b(z)

    gm = pruned(randomised(Reads(both)))
    assert shapes(gm) == [(2, 8, 3, 3), (3, 8, 1, 1), (3, 8, 3, 3), (8, 4, 1, 1)]
    assert (operators(gm)["aten.cat.default"], operators(gm)["aten.slice.Tensor"]) == (1, 1)


def test_readers_that_need_different_channels_do_not_bind_each_other() -> None:
    """A depthwise layer reads three channels of a value all of which are bypassed."""

    class Depthwise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.conv, self.last = (
                nn.Conv2d(4, 8, 1),
                nn.Conv2d(8, 8, 3, 1, 1, groups=8),
                nn.Conv2d(8, 3, 1),
            )

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return self.last(torch.cat([F.relu(self.conv(x))[:, :3], x[:, 3:]], 1)) + self.last(x)

    gm = pruned(randomised(Depthwise()))
    assert (3, 1, 3, 3) in shapes(gm)


def test_outputs_of_the_graph_keep_their_channels() -> None:
    gm = pruned(randomised(Reads(lambda self, x, y, m: (y * m, self.a(y * m)))))
    assert (3, 8, 3, 3) in shapes(gm) and operators(gm)["aten.constant_pad_nd.default"] == 1


def test_a_mask_of_any_channels() -> None:
    """What is left of each value is gathered by index; with one value and zeros nothing is."""
    wide = torch.tensor([1.0, 0] * 8).reshape(1, -1, 1, 1)

    class Wide(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.conv, self.last = nn.Conv2d(4, 16, 1), nn.Conv2d(16, 16, 3, 1, 1), nn.Conv2d(16, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            return self.last(torch.where(wide > 0, F.relu(self.conv(x)), x)) + self.last(F.relu(self.conv(x)) * wide)

    gm = pruned(randomised(Wide()))
    assert (8, 16, 3, 3) in shapes(gm) and (3, 8, 1, 1) in shapes(gm)
    assert operators(gm)["aten.index_select.default"] == 2


def test_parts_of_one_value_in_order_are_the_value() -> None:
    def parts(self: Reads, x: Tensor, y: Tensor, m: Tensor) -> Tensor:
        return self.a(torch.cat([y[:, :3], y[:, 3:5], y[:, 5:]], 1)) + self.a(
            torch.cat([y[:, 2:4], y[:, 4:], x[:, :2]], 1)
        )

    assert count(pruned(randomised(Reads(parts))), *MOVES) == (1, 2, 0)


def test_concatenations_of_concatenations_are_one() -> None:
    def nested(self: Reads, x: Tensor, y: Tensor, m: Tensor) -> Tensor:
        return torch.cat([torch.cat([x, y.sigmoid()], 1), torch.cat([y, x.tanh()], 1)], 1).mean((2, 3))

    assert operators(pruned(randomised(Reads(nested))))["aten.cat.default"] == 1


def test_zeros_of_any_kind_are_no_channels() -> None:
    def filled(self: Reads, x: Tensor, y: Tensor, m: Tensor) -> Tensor:
        n, _, h, w = y.shape
        zeros = y.new_zeros(n, 2, h, w)
        one = torch.cat([y[:, :3], zeros, torch.zeros_like(y[:, :3])], 1)
        return self.a(one) + self.a(torch.cat([torch.full((n, 4, h, w), 0.0), x[:, :4] * 0 + y[:, 4:]], 1))

    for dynamic in (None, ({0: torch.export.Dim("N")},)):
        gm = pruned(randomised(Reads(filled)), dynamic=dynamic)
        assert shapes(gm)[:2] == [(3, 3, 1, 1), (3, 4, 1, 1)]
        assert not set(operators(gm)) & {"aten.zeros_like.default", "aten.new_zeros.default", "aten.full.default"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool])
def test_masks_of_any_type(dtype: torch.dtype) -> None:
    mask = (torch.arange(8) < 3).to(dtype).reshape(1, -1, 1, 1)
    other = ~mask if dtype is torch.bool else 1 - mask
    gm = pruned(randomised(Reads(lambda self, x, y, m: self.a((y * mask + x * other).float()))))
    assert (3, 8, 3, 3) in shapes(gm) and operators(gm)["aten.cat.default"] == 1


LEFT_ALONE = {
    "half lets by": lambda self, x, y, m: self.a(y * (m * 0.5 + 0.25) + x * (0.75 - m * 0.5)),
    "both sides": lambda self, x, y, m: self.a(y * (m + 1) + x),
    "depends on the input": lambda self, x, y, m: self.a(torch.where(x.mean((2, 3), keepdim=True) > 0, y, x)),
    "depends on the place": lambda self, x, y, m: self.a(torch.where(torch.arange(9) < 3, y, x)),
    "is no zero": lambda self, x, y, m: self.a(y.masked_fill(m == 0, 0.5) * x),
    "no mask": lambda self, x, y, m: self.a(y + x),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_leaves_alone(name: str) -> None:
    model = randomised(Reads(LEFT_ALONE[name]))
    check_pass(EvaluateConstants(), model, X)
    gm = ir(model, X)
    run_pass(EvaluateConstants(), gm)
    before = operators(gm)
    assert not run_pass(PruneChannelBypass(), gm)
    assert operators(gm) == before


REFUSED = {
    "all is needed elsewhere": lambda self, x, y, m: (self.a(torch.where(m > 0, y, x)), y),
    "no layer made it": lambda self, x, y, m: torch.where(m > 0, x, x.exp()) + y + x.exp(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_where_nothing_is_gained(name: str) -> None:
    model = randomised(Reads(REFUSED[name]))
    gm = ir(model, X)
    run_pass(EvaluateConstants(), gm)
    before = operators(gm)
    result = run_pass(PruneChannelBypass(), gm)
    assert [r.reason for r in result.rejects] == [
        "is made of 2 pieces of other values, but taking it apart lets no layer shrink and no call vanish"
    ]
    assert not result and operators(gm) == before


def test_one_value_is_refused_and_another_is_not() -> None:
    def both(self: Reads, x: Tensor, y: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        other = x.tanh()
        return self.a(mixed(y, x, m)), torch.where(m > 0, x, other).mean((2, 3)) + other.mean((2, 3)) + x.mean((2, 3))

    gm = ir(randomised(Reads(both)), X)
    result = run_pass(PruneChannelBypass(), gm)
    assert len(result.rejects) == 1 and count(gm, "where.self", "cat.default") == (1, 1)
    assert (3, 8, 3, 3) in shapes(gm)


def test_a_copy_of_another_type_is_none() -> None:
    """A half-precision value times a mask in single precision is single precision."""

    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 8, 3).half()
            self.register_buffer("mask", (torch.arange(8) < 3).float().reshape(1, -1, 1, 1))

        def forward(self, x: Tensor) -> Tensor:
            return (self.conv(x) * self.mask).exp()

    gm = ir(randomised(Mixed()), X.half())
    run_pass(EvaluateConstants(), gm)
    run_pass(PruneChannelBypass(), gm)
    (output,) = next(iter(gm.graph.find_nodes(op="output"))).args[0]
    assert g.dtype(output.args[0]) is torch.float32 and g.is_call(output.args[0], aten.mul.Tensor)
