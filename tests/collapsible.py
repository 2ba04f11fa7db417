"""Modules of linear operators: what MergeBranches and CollapseLinear must make one, and what they must leave apart."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit import randomised


class Branches(nn.Module):
    """The sum, or the concatenation, of what several branches make of one input."""

    def __init__(self, *branches: nn.Module, concat: bool = False) -> None:
        super().__init__()
        self.branches, self.concat = nn.ModuleList(branches), concat

    def forward(self, x: Tensor) -> Tensor:
        values = [branch(x) for branch in self.branches]
        if self.concat:
            return torch.cat(values, 1)
        total = values[0]
        for value in values[1:]:
            total = total + value
        return total


class PadBias(nn.Module):
    """A linear MBConv whose padding holds what the first batch norm makes of zero, so that it collapses exactly."""

    def __init__(self, c: int, k: int) -> None:
        super().__init__()
        self.expand, self.norm = nn.Conv2d(c, 3 * c, 1, bias=False), nn.BatchNorm2d(3 * c)
        self.depthwise = nn.Conv2d(3 * c, 3 * c, k, groups=3 * c)
        self.project, self.k = nn.Conv2d(3 * c, c, 1), k

    def forward(self, x: Tensor) -> Tensor:
        bn = self.norm
        ring = (bn.bias - bn.running_mean * bn.weight / torch.sqrt(bn.running_var + bn.eps)).reshape(1, -1, 1, 1)
        y = F.pad(bn(self.expand(x)) - ring, [self.k // 2] * 4) + ring
        return self.project(self.depthwise(y)) + x


class Difference(nn.Module):
    """x + scale * (f(x) - bn(x)), as RepMixer has it."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.mixer, self.norm = seq(conv(c, c, 3, padding=1, groups=c, bias=False), bn(c)), bn(c)
        self.scale = nn.Parameter(torch.ones(c, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * (self.mixer(x) - self.norm(x))


class Shuffled(nn.Module):
    """A channel shuffle between grouped convolutions."""

    def __init__(self, by_hand: bool = False) -> None:
        super().__init__()
        self.a, self.b, self.by_hand = nn.Conv2d(4, 8, 1, groups=2), nn.Conv2d(8, 8, 3, groups=2), by_hand

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        shuffled = y.unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2) if self.by_hand else F.channel_shuffle(y, 2)
        return self.b(shuffled)


class NoChannels(nn.Module):
    """Layers with no features between them: a search space's smallest corner."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.linear(x, torch.ones(0, 4)), torch.ones(5, 0))


class PooledHead(nn.Module):
    """A convolution, the mean over all pixels, and a layer on what is left."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(4, 8, k, padding=k // 2), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).mean((2, 3)))


def bn(c: int) -> nn.BatchNorm2d:
    """A batch norm over images."""
    return nn.BatchNorm2d(c)


def seq(*layers: nn.Module) -> nn.Module:
    """Layers one after the other."""
    return nn.Sequential(*layers)


def conv(cin: int, cout: int, k: int | tuple[int, int] = 1, **options: object) -> nn.Conv2d:
    """A 2-d convolution."""
    return nn.Conv2d(cin, cout, k, **options)  # type: ignore[arg-type]


def c_bn(cin: int, cout: int, k: int | tuple[int, int], padding: object = 0, **options: object) -> nn.Module:
    """A convolution without bias and a batch norm."""
    return seq(conv(cin, cout, k, padding=padding, bias=False, **options), bn(cout))


Case = tuple[Callable[[], nn.Module], tuple[int, ...], dict[str, int]]
ONE = {"aten.convolution.default": 1}
FLAT = {"aten.reshape.default": 1, "aten.linear.default": 1}

MERGE: dict[str, Case] = {
    "repvgg": (lambda: Branches(c_bn(4, 4, 3, 1), c_bn(4, 4, 1), bn(4)), (2, 4, 7, 8), ONE),
    "repvgg strided": (lambda: Branches(c_bn(4, 6, 3, 1, stride=2), c_bn(4, 6, 1, stride=2)), (2, 4, 7, 8), ONE),
    "repvgg grouped": (
        lambda: Branches(c_bn(4, 4, 3, 1, groups=2), c_bn(4, 4, 1, groups=2), bn(4)),
        (2, 4, 7, 7),
        ONE,
    ),
    "acb": (
        lambda: Branches(c_bn(4, 4, 3, 1), c_bn(4, 4, (1, 3), (0, 1)), c_bn(4, 4, (3, 1), (1, 0))),
        (2, 4, 7, 7),
        ONE,
    ),
    "mobileone": (
        lambda: Branches(*(c_bn(4, 4, 3, 1, groups=4) for _ in range(4)), c_bn(4, 4, 1, groups=4), bn(4)),
        (2, 4, 7, 7),
        ONE,
    ),
    "dbb": (
        lambda: Branches(c_bn(4, 4, 3, 1), seq(conv(4, 6, 1, bias=False), c_bn(6, 4, 3, 1)), c_bn(4, 4, 1)),
        (2, 4, 7, 7),
        ONE,
    ),
    "inception": (
        lambda: Branches(conv(4, 2, 1), conv(4, 3, 3, padding=1), conv(4, 4, 5, padding=2), concat=True),
        (2, 4, 7, 7),
        ONE,
    ),
    "aspp": (
        lambda: Branches(*(conv(4, 4, 3, padding=d, dilation=d) for d in (1, 2, 3))),
        (2, 4, 9, 9),
        ONE,
    ),
    "even kernels": (lambda: Branches(conv(4, 4, 2), conv(4, 4, 4, padding=1)), (2, 4, 8, 8), ONE),
    "groups that nest": (
        lambda: Branches(conv(8, 8, 3, padding=1, groups=4), conv(8, 8, 1, groups=2)),
        (2, 8, 7, 7),
        ONE,
    ),
    "one dimension": (
        lambda: Branches(nn.Conv1d(4, 4, 3, padding=1), nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4)),
        (2, 4, 9),
        ONE,
    ),
    "three dimensions": (
        lambda: Branches(nn.Conv3d(2, 2, 3, padding=1), nn.Conv3d(2, 2, 1), nn.Identity()),
        (1, 2, 5, 5, 5),
        ONE,
    ),
    "linear layers": (
        lambda: Branches(nn.Linear(6, 6), nn.Linear(6, 6), nn.Identity()),
        (3, 6),
        {"aten.linear.default": 1},
    ),
    "difference": (lambda: Difference(4), (2, 4, 7, 7), ONE),
    "nested": (
        lambda: Branches(Branches(conv(4, 4, 3, padding=1), conv(4, 4, 1)), nn.Identity()),
        (2, 4, 7, 7),
        ONE,
    ),
}

COLLAPSE: dict[str, Case] = {
    "padding on the first": (
        lambda: seq(conv(4, 8, 3, padding=2, dilation=2), conv(8, 4, 1), conv(4, 3, 3)),
        (2, 4, 9, 9),
        ONE,
    ),
    "strides and dilations": (
        lambda: seq(conv(4, 6, 3, stride=2, padding=1), conv(6, 4, 3, dilation=2)),
        (2, 4, 19, 17),
        ONE,
    ),
    "biased 1x1 before a padded conv": (
        lambda: seq(conv(4, 6, 1), conv(6, 4, 3, padding=1)),
        (2, 4, 7, 8),
        {"aten.convolution.default": 1, "aten.add.Tensor": 1},
    ),
    "linear mbconv": (
        lambda: seq(c_bn(4, 12, 1), c_bn(12, 12, 3, 1, groups=12), c_bn(12, 4, 1)),
        (2, 4, 7, 7),
        {"aten.convolution.default": 1, "aten.add.Tensor": 1},
    ),
    "linear mbconv that pads with its bias": (lambda: PadBias(4, 3), (2, 4, 7, 7), ONE),
    "residual": (lambda: Branches(seq(conv(4, 8, 3, padding=1), conv(8, 4, 1)), nn.Identity()), (2, 4, 7, 7), ONE),
    "strided projection": (
        lambda: Branches(conv(4, 6, 3, stride=2, padding=1), conv(4, 6, 1, stride=2)),
        (2, 4, 7, 7),
        ONE,
    ),
    "grouped, shuffled": (Shuffled, (2, 4, 7, 7), ONE),
    "grouped, shuffled by hand": (lambda: Shuffled(by_hand=True), (2, 4, 7, 7), ONE),
    "groups that do not nest": (lambda: seq(conv(12, 12, 3, groups=4), conv(12, 12, 1, groups=6)), (2, 12, 7, 7), ONE),
    "two linear residual blocks": (
        lambda: seq(
            Branches(conv(4, 4, 3, padding=1), nn.Identity()),
            Branches(seq(conv(4, 8, 1), conv(8, 4, 1)), nn.Identity()),
        ),
        (2, 4, 7, 7),
        ONE,
    ),
    "padding with any mode on the first": (
        lambda: seq(conv(4, 6, 3, padding=1, padding_mode="reflect"), conv(6, 4, 1)),
        (2, 4, 7, 7),
        ONE | {"aten.reflection_pad2d.default": 1},
    ),
    "constant pads in between": (
        lambda: seq(conv(4, 4, 1), nn.ConstantPad2d(1, 0.7), conv(4, 4, 3)),
        (2, 4, 7, 7),
        ONE | {"aten.add.Tensor": 1},
    ),
    "crops": (lambda: seq(conv(4, 4, 3, padding=1), nn.ZeroPad2d(-1), conv(4, 4, 3)), (2, 4, 7, 7), ONE),
    "batch norm, valid conv": (lambda: seq(bn(4), conv(4, 6, 3), bn(6), conv(6, 4, 1)), (2, 4, 7, 7), ONE),
    "batch norm, padded conv": (
        lambda: seq(bn(4), conv(4, 6, 3, padding=1)),
        (2, 4, 7, 7),
        ONE | {"aten.sub.Tensor": 1},
    ),
    "identity activations": (lambda: seq(conv(4, 8, 1), nn.Identity(), nn.Dropout(), conv(8, 4, 3)), (2, 4, 7, 7), ONE),
    "conv, pool to a divisor": (
        lambda: seq(conv(4, 6, 3, padding=1), nn.AdaptiveAvgPool2d((2, 4))),
        (2, 4, 8, 8),
        ONE,
    ),
    "conv, global average": (lambda: seq(conv(4, 6, 3, padding=1), nn.AdaptiveAvgPool2d(1)), (2, 4, 8, 8), ONE),
    "1x1, pool that leaves padding out": (
        lambda: seq(conv(4, 6, 1), nn.AvgPool2d(3, 2, 1, count_include_pad=False), conv(6, 5, 1)),
        (2, 4, 8, 8),
        ONE | {"aten.avg_pool2d.default": 1},
    ),
    "1x1, pool with windows of its own": (
        lambda: seq(conv(4, 6, 1), nn.AdaptiveAvgPool2d(3), conv(6, 5, 1)),
        (2, 4, 8, 8),
        ONE | {"aten.adaptive_avg_pool2d.default": 1},
    ),
    "1x1, mean, linear": (
        lambda: PooledHead(1),
        (2, 4, 8, 8),
        {"aten.mean.dim": 1, "aten.linear.default": 1},
    ),
    "3x3, mean, linear": (lambda: PooledHead(3), (2, 4, 8, 8), {"aten.convolution.default": 1, "aten.mean.dim": 1}),
    "conv, flatten, linear": (
        lambda: seq(conv(4, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 16, 5)),
        (2, 4, 4, 4),
        FLAT,
    ),
    "1x1, padded conv, flatten, linear, norm, linear": (
        lambda: seq(
            conv(4, 6, 1), conv(6, 8, 3, padding=1), nn.Flatten(), nn.Linear(128, 9), nn.BatchNorm1d(9), nn.Linear(9, 5)
        ),
        (2, 4, 4, 4),
        FLAT,
    ),
    "padded with a value, flatten, linear": (
        lambda: seq(nn.ConstantPad2d(1, 0.7), conv(4, 2, 3), nn.Flatten(), nn.Linear(32, 2)),
        (2, 4, 4, 4),
        FLAT,
    ),
    "transposed, flatten, linear": (
        lambda: seq(nn.ConvTranspose2d(4, 6, 3, 2, 1), nn.Flatten(), nn.Linear(6 * 49, 5)),
        (2, 4, 4, 4),
        FLAT,
    ),
    "nested groups": (lambda: seq(conv(8, 8, 1, groups=4), conv(8, 8, 3, groups=2)), (2, 8, 7, 7), ONE),
    "conv, average pool": (lambda: seq(conv(4, 6, 3, padding=1), nn.AvgPool2d(2)), (2, 4, 8, 8), ONE),
    "unshuffle, conv": (lambda: seq(nn.PixelUnshuffle(2), conv(4, 6, 3, padding=1)), (2, 1, 8, 8), ONE),
    "conv, shuffle, 1x1": (
        lambda: seq(conv(4, 8, 3, padding=1), nn.PixelShuffle(2), conv(2, 3, 1)),
        (2, 4, 7, 7),
        {"aten.convolution.default": 1, "aten.add.Tensor": 1},
    ),
    "nearest, conv": (lambda: seq(nn.Upsample(scale_factor=2), conv(4, 3, 3, padding=1)), (2, 4, 6, 6), ONE),
    "transposed, 1x1": (lambda: seq(nn.ConvTranspose2d(4, 6, 3, 2, 1, 1), conv(6, 3, 1)), (2, 4, 6, 6), ONE),
    "1x1 without bias, transposed": (
        lambda: seq(conv(4, 6, 1, bias=False), nn.ConvTranspose2d(6, 3, 4, 2, 1)),
        (2, 4, 6, 6),
        ONE,
    ),
    "linear, linear": (
        lambda: seq(nn.Linear(6, 12), nn.Identity(), nn.Linear(12, 5)),
        (3, 6),
        {"aten.linear.default": 1},
    ),
    "linear on sequences": (lambda: seq(nn.Linear(6, 12), nn.Linear(12, 5)), (3, 4, 6), {"aten.linear.default": 1}),
    "one dimension": (lambda: seq(nn.Conv1d(4, 8, 3, padding=1), nn.Conv1d(8, 4, 3)), (2, 4, 11), ONE),
    "three dimensions": (lambda: seq(nn.Conv3d(2, 4, 3, padding=1), nn.Conv3d(4, 2, 1)), (1, 2, 5, 5, 5), ONE),
}

BORDER = "the border depends on data"
APART: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "two padded kernels": (lambda: seq(conv(4, 4, 3, padding=1), conv(4, 4, 3, padding=1)), (2, 4, 7, 7), BORDER),
    "two padded kernels and a residual": (
        lambda: Branches(seq(conv(4, 4, 3, padding=1), conv(4, 4, 3, padding=1)), nn.Identity()),
        (2, 4, 7, 7),
        BORDER,
    ),
    "cropped transposed, padded conv": (
        lambda: seq(nn.ConvTranspose2d(4, 4, 4, 2, 1), conv(4, 4, 3, padding=1)),
        (2, 4, 6, 6),
        BORDER,
    ),
    "biased transposed, padded conv": (
        lambda: seq(nn.ConvTranspose2d(4, 4, 3, 2), conv(4, 4, 3, padding=1)),
        (2, 4, 6, 6),
        "its output is not its input's outline",
    ),
    "strided conv, transposed": (
        lambda: seq(conv(4, 4, 3, stride=2, padding=1), nn.ConvTranspose2d(4, 4, 2, 2)),
        (2, 4, 8, 8),
        "a stride before an upsampling",
    ),
    "sizes that agree here only": (
        lambda: Branches(conv(4, 4, 3, stride=2, padding=1), conv(4, 4, 4)),
        (2, 4, 7, 7),
        "branches have different strides",
    ),
    "padded average after a padded conv": (
        lambda: seq(conv(4, 4, 3, padding=1), nn.AvgPool2d(3, 2, 1)),
        (2, 4, 8, 8),
        BORDER,
    ),
    "pool with windows of its own after a kernel": (
        lambda: seq(conv(4, 4, 3, padding=1), nn.AdaptiveAvgPool2d(3)),
        (2, 4, 8, 8),
        "apart",
    ),
    "broken factors": (
        lambda: seq(conv(4, 4, 1), nn.Upsample(scale_factor=1.5), conv(4, 4, 1)),
        (2, 4, 6, 6),
        "nearest upsampling must have whole factors",
    ),
    "no channels": (
        NoChannels,
        (2, 4),
        "channels that its groups divide",
    ),
    "shrinking then growing linear": (lambda: seq(nn.Linear(32, 4), nn.Linear(4, 32)), (3, 32), "parameters"),
    "flattened and growing": (
        lambda: seq(conv(4, 2, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(8, 50)),
        (2, 4, 4, 4),
        "parameters",
    ),
}

OPEN: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "biased 1x1, padded conv": (lambda: seq(conv(4, 6, 1), conv(6, 4, 3, padding=1)), 1),
    "biased 1x1, padded conv with groups": (
        lambda: seq(conv(4, 8, 1, groups=2), conv(8, 4, 3, padding=1, groups=2)),
        1,
    ),
    "strided": (lambda: seq(conv(4, 6, 1), conv(6, 4, 3, padding=1, stride=2)), 1),
    "nearest, conv": (lambda: seq(nn.Upsample(scale_factor=2), conv(4, 3, 3, padding=1)), 1),
    "unshuffle, conv": (lambda: seq(nn.PixelUnshuffle(2), conv(16, 3, 3, padding=1)), 1),
    "conv, shuffle, 1x1": (lambda: seq(conv(4, 8, 3, padding=1), nn.PixelShuffle(2), conv(2, 3, 1)), 1),
    "transposed, 1x1": (lambda: seq(nn.ConvTranspose2d(4, 6, 3, 2, 1, 1), conv(6, 3, 1)), 1),
    "conv, pool": (lambda: seq(conv(4, 6, 3, padding=1), nn.AvgPool2d(2)), 1),
    "grouped, shuffled": (Shuffled, 1),
    "residual": (lambda: Branches(seq(conv(4, 8, 3, padding=1), conv(8, 4, 1)), nn.Identity()), 1),
    "1x1, mean, linear": (lambda: PooledHead(1), 0),
}
"""Modules for images of any size, and the convolutions they come down to."""


def built(make: Callable[[], nn.Module]) -> nn.Module:
    """A module of a table, with non-trivial weights and statistics."""
    torch.manual_seed(0)
    return randomised(make())
