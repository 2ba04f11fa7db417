"""FoldBatchNorm: every pattern it claims, and every neighbour it must leave alone."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit import check_pass, randomised
from nascc.passes import FoldBatchNorm

X = torch.randn(2, 4, 9, 9, generator=torch.Generator().manual_seed(0))


class Fn(nn.Module):
    """Layers, and a function that says how they are called."""

    def __init__(self, call: Callable[..., Tensor], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.call = call

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.call(*self.layers, *inputs)


def chain(*layers: nn.Module) -> nn.Module:
    return randomised(nn.Sequential(*layers))


def fn(call: Callable[..., Tensor], *layers: nn.Module) -> nn.Module:
    return randomised(Fn(call, *layers))


def conv(cin: int = 4, cout: int = 8, k: int = 3, **options: object) -> nn.Conv2d:
    return nn.Conv2d(cin, cout, k, **options)  # type: ignore[arg-type]


C4, C8 = (torch.linspace(0.5, 2, c).reshape(c, 1, 1) for c in (4, 8))


FOLDS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "conv1d": (chain(nn.Conv1d(4, 6, 3, padding=1), nn.BatchNorm1d(6)), (2, 4, 9)),
    "conv2d": (chain(conv(padding=1, bias=False), nn.BatchNorm2d(8)), (2, 4, 9, 9)),
    "conv3d": (chain(nn.Conv3d(2, 4, 3, stride=2, padding=1), nn.BatchNorm3d(4)), (1, 2, 7, 7, 7)),
    "depthwise": (chain(conv(4, 4, groups=4, padding=1), nn.BatchNorm2d(4)), (2, 4, 9, 9)),
    "grouped": (chain(conv(4, 8, groups=2, dilation=2), nn.BatchNorm2d(8)), (2, 4, 9, 9)),
    "transposed": (chain(nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1), nn.BatchNorm2d(6)), (2, 4, 9, 9)),
    "transposed grouped": (chain(nn.ConvTranspose2d(4, 6, 3, 2, 1, groups=2), nn.BatchNorm2d(6)), (2, 4, 9, 9)),
    "linear": (chain(nn.Linear(4, 6), nn.BatchNorm1d(6)), (5, 4)),
    "no affine": (chain(conv(), nn.BatchNorm2d(8, affine=False)), (2, 4, 9, 9)),
    "same padding": (chain(conv(padding="same", dilation=2), nn.BatchNorm2d(8)), (2, 4, 9, 9)),
    "before linear": (chain(nn.BatchNorm1d(4), nn.Linear(4, 6)), (5, 4)),
    "before valid conv": (chain(nn.BatchNorm2d(4), conv(groups=2)), (2, 4, 9, 9)),
    "before 1x1 conv": (chain(nn.BatchNorm2d(4), conv(k=1, bias=False)), (2, 4, 9, 9)),
    "before two convs": (
        fn(lambda b, p, q, x: _both(b, p, q, x), nn.BatchNorm2d(4), conv(k=1), conv(k=1)),
        (2, 4, 9, 9),
    ),
    "normalisation before valid conv": (fn(lambda c, x: c((x - 0.5) / C4), conv()), (2, 4, 9, 9)),
    "scale before padded conv": (fn(lambda c, x: c(x / C4), conv(padding=1)), (2, 4, 9, 9)),
    "scale before transposed conv": (
        fn(lambda c, x: c(x * C4), nn.ConvTranspose2d(4, 6, 3, groups=2)),
        (2, 4, 9, 9),
    ),
    "layer scale": (fn(lambda c, x: c(x) * C8, conv()), (2, 4, 9, 9)),
    "constant shift": (fn(lambda c, x: 1 - c(x), conv(padding=1)), (2, 4, 9, 9)),
    "two batch norms": (chain(conv(), nn.BatchNorm2d(8), nn.BatchNorm2d(8)), (2, 4, 9, 9)),
    "average pool": (chain(conv(), nn.AvgPool2d(2), nn.BatchNorm2d(8)), (2, 4, 9, 9)),
    "average pool ceil": (chain(conv(), nn.AvgPool2d(2, ceil_mode=True), nn.BatchNorm2d(8)), (2, 4, 9, 9)),
    "adaptive pool": (chain(conv(), nn.AdaptiveAvgPool2d(3), nn.BatchNorm2d(8)), (2, 4, 9, 9)),
    "mean": (fn(lambda c, b, x: b(c(x).mean((2, 3))), conv(), nn.BatchNorm1d(8)), (2, 4, 9, 9)),
    "nearest": (chain(conv(), nn.Upsample(scale_factor=2), nn.BatchNorm2d(8)), (2, 4, 9, 9)),
    "bilinear": (chain(conv(), nn.Upsample(scale_factor=2, mode="bilinear"), nn.BatchNorm2d(8)), (2, 4, 9, 9)),
    "pixel shuffle": (chain(conv(), nn.PixelShuffle(2), nn.BatchNorm2d(2)), (2, 4, 9, 9)),
    "pixel unshuffle before conv": (
        chain(nn.BatchNorm2d(1), nn.PixelUnshuffle(2), nn.Conv2d(4, 3, 1)),
        (2, 1, 8, 8),
    ),
    "channel shuffle": (chain(conv(), nn.ChannelShuffle(4), nn.BatchNorm2d(8)), (2, 4, 9, 9)),
    "transpose": (
        fn(lambda f, b, x: b(f(x).transpose(1, 2)), nn.Linear(4, 6), nn.BatchNorm1d(6)),
        (2, 5, 4),
    ),
    "flatten before linear": (
        fn(lambda b, f, x: f(b(x).flatten(1)), nn.BatchNorm2d(4), nn.Linear(36, 3)),
        (2, 4, 3, 3),
    ),
    "max pool": (
        fn(lambda c, b, x: b(F.max_pool2d(c(x), 3, 2, 1)), conv(), nn.BatchNorm2d(8, affine=False)),
        (2, 4, 9, 9),
    ),
    "concat": (
        fn(lambda p, q, b, x: b(torch.cat([p(x), q(x)], 1)), conv(4, 3), conv(4, 5), nn.BatchNorm2d(8)),
        (2, 4, 9, 9),
    ),
    "concat along width": (
        fn(lambda p, q, b, x: b(torch.cat([p(x), q(x)], 3)), conv(), conv(), nn.BatchNorm2d(8)),
        (2, 4, 9, 9),
    ),
}


def _both(b: nn.Module, p: nn.Module, q: nn.Module, x: Tensor) -> Tensor:
    y = b(x)
    return torch.cat([p(y), q(y)], 1)


@pytest.mark.parametrize("name", FOLDS)
def test_folds(name: str) -> None:
    model, shape = FOLDS[name]
    result = check_pass(FoldBatchNorm(), model, torch.randn(shape, generator=torch.Generator().manual_seed(1)))
    assert result.rewrites, f"nothing folded: {result}"


KEPT: dict[str, tuple[nn.Module, tuple[int, ...], str]] = {
    "border": (chain(nn.BatchNorm2d(4), conv(padding=1)), (2, 4, 9, 9), "not exact at the border"),
    "border of transposed": (
        chain(nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 3, 2)),
        (2, 4, 9, 9),
        "not exact at the border",
    ),
    "batch statistics": (
        chain(conv(), nn.BatchNorm2d(8, track_running_stats=False)),
        (2, 4, 9, 9),
        "batch statistics",
    ),
    "two users": (fn(lambda c, b, x: _used_twice(c, b, x), conv(), nn.BatchNorm2d(8)), (2, 4, 9, 9), "2 users"),
    "pre-activation": (chain(nn.ReLU(), nn.BatchNorm2d(4), nn.ReLU(), conv()), (2, 4, 9, 9), "relu"),
    "padded average pool": (
        chain(conv(), nn.AvgPool2d(3, 2, 1), nn.BatchNorm2d(8)),
        (2, 4, 9, 9),
        "averages zeros of its padding",
    ),
    "max pool with a negative gamma": (
        chain(conv(), nn.MaxPool2d(2), nn.BatchNorm2d(8)),
        (2, 4, 9, 9),
        "negative scale",
    ),
    "concat with a value that is no layer": (
        fn(lambda c, b, x: b(torch.cat([c(x), F.relu(x)], 1)), conv(padding=1), nn.BatchNorm2d(12)),
        (2, 4, 9, 9),
        "relu",
    ),
    "one value twice in a concat": (
        fn(lambda c, b, x: _twice(c, b, x), conv(), nn.BatchNorm2d(16)),
        (2, 4, 9, 9),
        "twice",
    ),
    "sequence axis": (
        fn(lambda f, b, x: b(f(x)), nn.Linear(4, 6), nn.BatchNorm1d(5)),
        (2, 5, 4),
        "another axis",
    ),
    "graph output": (fn(lambda b, c, x: b(x), nn.BatchNorm2d(4), conv()), (2, 4, 9, 9), "output of the model"),
}


def _used_twice(c: nn.Module, b: nn.Module, x: Tensor) -> Tensor:
    y = c(x)
    return b(y) + y


def _twice(c: nn.Module, b: nn.Module, x: Tensor) -> Tensor:
    y = c(x)
    return b(torch.cat([y, y], 1))


@pytest.mark.parametrize("name", KEPT)
def test_leaves_alone(name: str) -> None:
    model, shape, reason = KEPT[name]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    check_pass(FoldBatchNorm(), model, x, expected=model, rewrites=0, rejects=[reason])


def test_a_shared_convolution_keeps_both_meanings() -> None:
    shared = conv(4, 4, padding=1)
    model = fn(lambda c, b1, b2, x: b2(c(b1(c(x)).relu())), shared, nn.BatchNorm2d(4), nn.BatchNorm2d(4))
    check_pass(FoldBatchNorm(), model, X, rewrites=2)


def test_tied_weights_are_never_edited_in_place() -> None:
    p, q = conv(4, 8), conv(4, 8)
    q.weight = p.weight
    model = fn(lambda p, q, b, x: p(x) + b(q(x)), p, q, nn.BatchNorm2d(8))
    check_pass(FoldBatchNorm(), model, X, rewrites=1)


def test_a_folded_convolution_names_what_it_stands_for() -> None:
    result = check_pass(FoldBatchNorm(), chain(conv(), nn.BatchNorm2d(8)), X, rewrites=1)
    assert result.rewrites[0].sources == ("0", "1")


def test_two_batch_norms_become_one_that_stays() -> None:
    model = chain(nn.ReLU(), nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.ReLU())
    expected = chain(nn.ReLU(), nn.BatchNorm2d(4), nn.ReLU())
    check_pass(FoldBatchNorm(), model, X, expected=expected, rewrites=1, rejects=["relu"])


def test_dynamic_batch_and_size() -> None:
    model = chain(conv(padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2))
    sizes = {0: torch.export.Dim("N"), 2: torch.export.Dim("H", min=4), 3: torch.export.Dim("W", min=4)}
    check_pass(FoldBatchNorm(), model, X, rewrites=1, dynamic=(sizes,))


@pytest.mark.parametrize("seed", range(5))
def test_zero_gamma_folds_across_a_maximum(seed: int) -> None:
    bn = nn.BatchNorm2d(8)
    model = chain(conv(), nn.MaxPool2d(2), bn)
    with torch.no_grad():
        bn.weight.abs_()[seed] = 0
    check_pass(FoldBatchNorm(), model, X, rewrites=1)
