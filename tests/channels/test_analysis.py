"""What the analysis says of channels is so: every value of random networks is computed and compared."""

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn
from torch.fx import Node
from torch.nn import functional as F

from kit import ir, randomised
from nascc.passes import EvaluateConstants, run_pass
from nascc.passes.channels import Analysis, Facts, analyse
from random_modules import Call
from structured_zeros import drawn

RELAXED = settings(deadline=None, suppress_health_check=list(HealthCheck))
X = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))


class Recording(fx.Interpreter):
    """Keeps every value that the graph computes."""

    def __init__(self, gm: fx.GraphModule) -> None:
        super().__init__(gm, garbage_collect_values=False)

    def values(self, x: Tensor) -> dict[Node, Any]:
        with torch.no_grad():
            self.run(x.double())
        return dict(self.env)


def check(gm: fx.GraphModule, x: Tensor) -> Analysis:
    """Constants are what they are said to be on two inputs, and copies equal their origin."""
    found = analyse(gm)
    for image in (x, 3 * x + 1):
        values = Recording(gm).values(image)
        for node, step in found.steps.items():
            if node.op == "call_function" and isinstance(values[node], Tensor):
                check_facts(step.facts, values[node])
                check_origins(found, node, values)
    return found


def check_facts(facts: Facts, value: Tensor) -> None:
    assert all(size in (1, whole) for size, whole in zip(facts.layout, value.shape, strict=True))
    constant, wanted = facts.constant.expand(value.shape), facts.value.expand(value.shape)
    torch.testing.assert_close(value[constant], wanted[constant], rtol=1e-10, atol=1e-10, check_dtype=False)


def check_origins(found: Analysis, node: Node, values: dict[Node, Any]) -> None:
    origin, value = found.origins[node], values[node]
    axes = [k for k, size in enumerate(origin.node.shape) if size > 1]
    if len(axes) != 1:
        return
    flat = zip(origin.node.reshape(-1).tolist(), origin.channel.reshape(-1).tolist(), strict=True)
    for channel, (number, at) in enumerate(flat):
        source = found.nodes[number]
        if source is not node:
            mine, its = value.select(axes[0], channel), values[source].select(axes[0], at)
            torch.testing.assert_close(mine, its, rtol=0, atol=0)


@pytest.mark.parametrize("seed", [7160, 21, 9237])
def test_random_networks(seed: int) -> None:
    model, x = drawn(seed)
    check(ir(model, x), x)


@pytest.mark.slow
@settings(RELAXED, max_examples=1000)
@given(st.integers(0, 10**9))
def test_many_random_networks(seed: int) -> None:
    model, x = drawn(seed)
    check(ir(model, x), x)


def last(model: nn.Module, x: Tensor = X) -> tuple[Analysis, Node]:
    gm = ir(model, x)
    found = check(gm, x)
    (output,) = next(iter(gm.graph.find_nodes(op="output"))).args[0]
    return found, output


def dead(layer: nn.Module, *rows: int) -> nn.Module:
    with torch.no_grad():
        layer.weight[list(rows)] = 0
    return layer


CASES = {
    "an unpadded convolution keeps constants": (nn.Conv2d(4, 3, 3), [True, True, False]),
    "a padded one shows them at the border": (nn.Conv2d(4, 3, 3, padding=1), [True, False, False]),
    "an average over padding shows them": (nn.AvgPool2d(3, 1, 1), [True, False, False, False]),
    "a maximum does not": (nn.MaxPool2d(3, 1, 1), [True, True, False, False]),
    "padding with the same number does not": (nn.ConstantPad2d(1, 0.25), [False, True, False, False]),
    "means keep them": (Call(lambda x: x.mean((2, 3)), "mean"), [True, True, False, False]),
}


@pytest.mark.parametrize("name", CASES)
def test_constants(name: str) -> None:
    below, wanted = CASES[name]
    first = dead(randomised(nn.Conv2d(4, 4, 1)), 0, 1)
    below = randomised(below)
    with torch.no_grad():
        first.bias[0], first.bias[1] = 0.0, 0.25
        if isinstance(below, nn.Conv2d):
            below.weight[0, 1:], below.weight[1, 2:] = 0, 0
    found, output = last(nn.Sequential(first, below))
    assert found.facts(output).constant.reshape(-1).tolist() == wanted


def test_zero_times_a_live_value_is_zero() -> None:
    first = dead(randomised(nn.Conv2d(4, 4, 1, bias=False)), 2)
    found, output = last(nn.Sequential(first, Call(lambda x: x * x.mean((2, 3), keepdim=True).sigmoid(), "gate")))
    assert found.facts(output).zero.reshape(-1).tolist() == [False, False, True, False]


def test_copies_come_from_where_they_were() -> None:
    class Bypass(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4, eps=0.0)
            with torch.no_grad():
                self.conv.weight.zero_()
                self.conv.weight[1, 3, 1, 1] = 1

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x[:, 2:], self.bn(self.conv(x))], 1)

    gm = ir(Bypass().eval(), X)
    found = check(gm, X)
    (output,) = next(iter(gm.graph.find_nodes(op="output"))).args[0]
    origin = found.origins[output]
    x = found.nodes.index(next(iter(gm.graph.find_nodes(op="placeholder"))))
    pairs = list(zip(origin.node.reshape(-1).tolist(), origin.channel.reshape(-1).tolist(), strict=True))
    assert [pairs[0], pairs[1], pairs[3]] == [(x, 2), (x, 3), (x, 3)]
    assert pairs[2][0] != x and found.facts(output).zero.reshape(-1).tolist() == [False, False, True, False, True, True]


def test_numbers_that_are_not_finite_are_not_known() -> None:
    first = dead(randomised(nn.Conv2d(4, 4, 1)), 0, 1)
    with torch.no_grad():
        first.bias[0], first.bias[1] = float("nan"), float("inf")
        first.weight[2, 0] = float("nan")
    found = analyse(ir(nn.Sequential(first, nn.ReLU()), X))
    assert not any(bool(step.facts.constant.any()) for step in found.steps.values())


def test_open_sizes_are_not_told_apart() -> None:
    gm = ir(Call(lambda x: F.relu(x.flatten(1)), "flat"), X, dynamic=({2: torch.export.Dim("H", min=2)},))
    found = analyse(gm)
    (output,) = next(iter(gm.graph.find_nodes(op="output"))).args[0]
    assert found.facts(output).layout == (1, 1)


MASK = torch.tensor([True, False, False, True]).reshape(1, -1, 1, 1)


def scattered(x: Tensor) -> Tensor:
    y = x.exp()
    y[:, 1:3] = x[:, :2]
    return y


COPIES = {
    "a selection": (lambda x: torch.where(MASK, x, x.exp()), [0, None, None, 3]),
    "of a number": (lambda x: torch.where(MASK, 0.0, x), [None, 1, 2, None]),
    "a filled mask": (lambda x: x.masked_fill(MASK, 0.5), [None, 1, 2, None]),
    "a selection by place": (lambda x: torch.where(torch.arange(6) < 3, x, x.exp()), [None] * 4),
    "a selection by value": (lambda x: torch.where(x > 0, x, x.exp()), [None] * 4),
    "more channels": (lambda x: F.pad(x, (0, 0, 0, 0, 1, 1)), [None, 0, 1, 2, 3, None]),
    "a border": (lambda x: F.pad(x, (0, 0, 1, 1)), [None] * 4),
    "of one channel": (lambda x: F.pad(x[:, 2:3], (0, 0, 0, 0, 1, 0)), [None, 2]),
    "a scattered slice": (scattered, [None, 0, 1, None]),
    "an expanded mask": (lambda x: x * MASK.float().expand(x.shape), [0, None, None, 3]),
    "beside zeros": (lambda x: torch.cat([x[:, 1:], x.new_zeros(x.shape[0], 1, 6, 6)], 1), [1, 2, 3, None]),
}


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("name", COPIES)
def test_copies(name: str, is_open: bool) -> None:
    """Which channel of the input each channel is, with a batch of two or an open one."""
    function, wanted = COPIES[name]
    gm = ir(Call(function, name), X, dynamic=({0: torch.export.Dim("N")},) if is_open else None)
    run_pass(EvaluateConstants(), gm)
    found = check(gm, X)
    (output,) = next(iter(gm.graph.find_nodes(op="output"))).args[0]
    x = found.nodes.index(next(iter(gm.graph.find_nodes(op="placeholder"))))
    origin = found.origins[output]
    pairs = zip(origin.node.reshape(-1).tolist(), origin.channel.reshape(-1).tolist(), strict=True)
    got = [channel if node == x else None for node, channel in pairs]
    assert got == wanted


CONSTANT = {
    "a selection of numbers": (lambda x: torch.where(MASK, 2.0, x), [2.0, None, None, 2.0]),
    "a filled mask": (lambda x: x.masked_fill(MASK, 0.5), [0.5, None, None, 0.5]),
    "more channels": (lambda x: F.pad(x, (0, 0, 0, 0, 1, 1), value=3.0), [3.0, None, None, None, None, 3.0]),
    "beside ones": (lambda x: torch.cat([x[:, :3], torch.ones(x.shape[0], 1, 6, 6)], 1), [None, None, None, 1.0]),
}


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("name", CONSTANT)
def test_constant_channels(name: str, is_open: bool) -> None:
    function, wanted = CONSTANT[name]
    gm = ir(Call(function, name), X, dynamic=({0: torch.export.Dim("N")},) if is_open else None)
    run_pass(EvaluateConstants(), gm)
    found = check(gm, X)
    (output,) = next(iter(gm.graph.find_nodes(op="output"))).args[0]
    facts = found.facts(output)
    pairs = zip(facts.constant.reshape(-1).tolist(), facts.value.reshape(-1).tolist(), strict=True)
    assert [value if constant else None for constant, value in pairs] == wanted


def test_padding_keeps_an_open_batch_open() -> None:
    gm = ir(Call(lambda x: F.pad(x, (0, 1, 2, 0, 0, 3)), "pad"), X, dynamic=({0: torch.export.Dim("N")},))
    (output,) = next(iter(gm.graph.find_nodes(op="output"))).args[0]
    assert not isinstance(output.meta["val"].shape[0], int) and output.meta["val"].shape[1:] == (7, 8, 7)
