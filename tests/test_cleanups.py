"""EvaluateConstants, EliminateIdentities, MergeDuplicates: each claim, and each neighbour left alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit import check_pass, randomised
from nascc.passes import EliminateIdentities, EvaluateConstants, MergeDuplicates

X = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
C = torch.linspace(-1, 1, 4).reshape(1, 4, 1, 1)


class Fn(nn.Module):
    """A function as a module."""

    def __init__(self, call: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.call = call

    def forward(self, x: Tensor) -> object:
        return self.call(x)


def standardised(x: Tensor) -> Tensor:
    weight = torch.linspace(-1, 1, 36).reshape(1, 4, 3, 3)
    return F.conv2d(x, (weight - weight.mean()) / weight.std())


def test_weight_standardisation_becomes_a_weight() -> None:
    weight = torch.linspace(-1, 1, 36).reshape(1, 4, 3, 3)
    plain = (weight - weight.mean()) / weight.std()
    check_pass(EvaluateConstants(), Fn(standardised), X, expected=Fn(lambda x: F.conv2d(x, plain)))


def test_random_values_are_no_constants() -> None:
    from kit import ir
    from nascc.passes import run_pass

    gm = ir(Fn(lambda x: x + torch.rand(4, 1, 1)), X)
    result = run_pass(EvaluateConstants(), gm)
    assert not result
    assert gm.graph is not None


def test_large_expansions_stay() -> None:
    big = Fn(lambda x: C.expand(500, 4, 40, 40).mean(0)[:, :6, :6] + x)
    result = check_pass(EvaluateConstants(), big, X)
    assert all("expand" not in r.node for r in result.rewrites)


IDENTITIES: dict[str, Callable[[Tensor], object]] = {
    "reshape": lambda x: F.relu(x.reshape(2, 4, 6, 6)),
    "two reshapes": lambda x: F.relu(x.reshape(2, 4, 36).reshape(8, 36)),
    "permute there and back": lambda x: F.relu(x.permute(0, 2, 3, 1).permute(0, 3, 1, 2)),
    "two permutes": lambda x: F.relu(x.permute(0, 2, 3, 1).permute(0, 2, 1, 3)),
    "times one": lambda x: F.relu(x * 1 + 0) / 1.0,
    "one value": lambda x: F.relu(torch.cat([x], 1)),
    "window of one": lambda x: F.relu(F.avg_pool2d(x, 1)),
    "repeat": lambda x: F.relu(x.repeat(1, 1, 1, 1)),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_eliminates(name: str) -> None:
    result = check_pass(EliminateIdentities(), Fn(IDENTITIES[name]), X)
    assert result.rewrites


KEPT: dict[str, Callable[[Tensor], object]] = {
    "casts": lambda x: F.relu(x.half()),
    "a broadcasting zero": lambda x: F.relu(x[:, :1] + 0) + C,
    "a strided pool": lambda x: F.max_pool2d(x, 1, 2),
    "an expanding add": lambda x: x.mean(1, keepdim=True).expand(2, 4, 6, 6) * x,
    "true is not one": lambda x: F.relu(x.round().int() * True),
}


@pytest.mark.parametrize("name", ["casts", "a strided pool", "an expanding add"])
def test_keeps(name: str) -> None:
    model = Fn(KEPT[name])
    check_pass(EliminateIdentities(), model, X, expected=model, rewrites=0)


def test_computes_once_what_is_computed_twice() -> None:
    model = Fn(lambda x: torch.cat([F.relu(x * C), F.relu(x * C.clone()), F.relu(x * (C + 1e-16))], 1))
    check_pass(MergeDuplicates(), model, X)


def test_neighbours_are_no_duplicates() -> None:
    model = Fn(lambda x: torch.cat([F.leaky_relu(x, 0.1), F.leaky_relu(x, 0.2), F.elu(x, 1.0)], 1))
    check_pass(MergeDuplicates(), model, X, expected=model, rewrites=0)


def test_random_calls_are_no_duplicates() -> None:
    from kit import ir, operators
    from nascc.passes import run_pass

    gm = ir(Fn(lambda x: x + torch.rand_like(x) - torch.rand_like(x)), X)
    before = operators(gm)
    run_pass(MergeDuplicates(), gm)
    assert operators(gm) == before


def test_equal_weights_of_two_layers_stay_apart() -> None:
    model = randomised(nn.Sequential(nn.Conv2d(4, 4, 1, bias=False), nn.Conv2d(4, 4, 1, bias=False)))
    with torch.no_grad():
        model[1].weight.copy_(model[0].weight)
    check_pass(MergeDuplicates(), model, X, expected=model, rewrites=0)


def test_equal_layers_on_one_value_become_one() -> None:
    layer = nn.Conv2d(4, 4, 1)
    twin = nn.Conv2d(4, 4, 1)
    twin.load_state_dict(layer.state_dict())
    check_pass(MergeDuplicates(), Both(layer, twin), X, rewrites=1)


class Both(nn.Module):
    """Two layers on one value."""

    def __init__(self, a: nn.Module, b: nn.Module) -> None:
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x: Tensor) -> Tensor:
        return self.a(x) * self.b(x)
