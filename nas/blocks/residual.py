"""Layers one after another with a shortcut where the shape is kept, and the short names that pools are written in."""

from collections.abc import Sequence

from torch import Tensor, nn

from nascc.nas.blocks.conv_norm import ConvNorm, ConvNormAct
from nascc.nas.core.context import Ctx


class Residual(nn.Module):
    """layers(x), plus x where the shape is kept: [N, C_in, H, W] -> [N, C_out, H', W']."""

    def __init__(self, ctx: Ctx, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)
        self.shortcut = ctx.keeps_shape

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


class Branches(nn.Module):
    """ReLU of the sum of convolutions with batch norm, one a kernel, and of a batch norm where the shape is kept.

    [N, C_in, H, W] -> [N, C_out, H', W']; deployed, it is one convolution (RepVGG).
    """

    def __init__(self, ctx: Ctx, *kernels: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(ConvNorm(ctx.c_in, ctx.c_out, kernel, ctx.stride) for kernel in kernels)
        if ctx.keeps_shape:
            self.branches.append(nn.BatchNorm2d(ctx.c_in))

    def forward(self, x: Tensor) -> Tensor:
        first, *others = (branch(x) for branch in self.branches)
        for other in others:
            first = first + other
        return nn.functional.relu(first)


class Gate(nn.Module):
    """Squeeze-and-excitation: x * sigmoid(W2 relu(W1 mean(x))), `hidden` channels between."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.expand(nn.functional.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * weights.sigmoid()


class SpatialTokens(nn.Module):
    """A layer on tokens [N, H W, C] as one on maps [N, C, H, W]."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        _, c, h, w = x.shape
        tokens = self.layer(x.flatten(2).transpose(1, 2))
        return tokens.transpose(1, 2).reshape(-1, c, h, w)  # type: ignore[no-any-return]


def conv_norm(c_in: int, c_out: int, kernel: int = 1, stride: int = 1) -> nn.Module:
    """CB: convolution, batch norm."""
    return ConvNorm(c_in, c_out, kernel, stride)


def conv_norm_act(c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Module:
    """CBR: convolution, batch norm, ReLU."""
    return ConvNormAct(c_in, c_out, kernel, stride, groups, act="relu")


def gate(channels: int, c_in: int, ratio: float) -> Sequence[nn.Module]:
    """A squeeze-and-excitation with `ratio` of the block's input channels between; nothing for 0."""
    return [Gate(channels, max(1, round(c_in * ratio)))] if ratio else []
