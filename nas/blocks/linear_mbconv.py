"""The inverted bottleneck without activations inside: trained as three convolutions, deployed as one."""

from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nascc.nas.blocks.activations import activation
from nascc.nas.blocks.conv_norm import ConvNorm
from nascc.nas.core.context import Ctx

Padding = Literal["bias", "first"]
"""What stands around the depthwise convolution, so that the block is exactly one convolution (dwnas.md, section 3)."""


class LinearMBConv(nn.Module):
    """1x1 BN, depthwise kxk BN, 1x1 BN, plus the input where shapes agree, then one activation (DW-NAS, section 3).

    [N, C_in, H, W] -> [N, C_out, ceil(H / stride), ceil(W / stride)]. `padding` is `bias`: the depthwise convolution
    sees around its input what the first batch norm makes of zeros, by its running statistics and without a gradient; or
    `first`: zeros stand around x, and the first convolution works on them too. Both are equal in eval mode. Without
    `last` the block ends with the sum. `inner` are the two places of the activations inside, identities here; while a
    network is trained they may hold hybrid ones.
    """

    def __init__(self, ctx: Ctx, kernel: int, expansion: float, padding: Padding = "bias", last: bool = True) -> None:
        super().__init__()
        hidden = round(ctx.c_in * expansion)
        self.ctx, self.padding, self.border = ctx, padding, kernel // 2
        self.expand = ConvNorm(ctx.c_in, hidden, 1) if expansion != 1 else None
        self.inner = nn.ModuleList([nn.Identity(), nn.Identity()])
        self.depthwise = ConvNorm(hidden, hidden, kernel, ctx.stride, groups=hidden, padded=True)
        self.project = ConvNorm(hidden, ctx.c_out, 1)
        self.last = activation(ctx.activation) if last else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.inner[1](self.depthwise(self._padded(x))))
        return self.last(x + y if self.ctx.keeps_shape else y)  # type: ignore[no-any-return]

    def _padded(self, x: Tensor) -> Tensor:
        """What the depthwise convolution reads: [N, C_hid, H + 2b, W + 2b]."""
        sides = [self.border] * 4
        if self.expand is None:
            return F.pad(x, sides)
        if self.padding == "first":
            return self.inner[0](self.expand(F.pad(x, sides)))  # type: ignore[no-any-return]
        y: Tensor = self.inner[0](self.expand(x))
        around = self.inner[0](constant_response(cast(nn.BatchNorm2d, self.expand[1])))
        padded: Tensor = F.pad(y - around, sides) + around
        return padded


def constant_response(norm: nn.BatchNorm2d, channels: int | None = None) -> Tensor:
    """What a batch norm makes of zeros by its running statistics, [1, C, 1, 1], without a gradient."""
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None and var is not None
    with torch.no_grad():
        shift = norm.bias - mean * norm.weight / torch.sqrt(var + norm.eps)
    return shift.detach()[:channels].reshape(1, -1, 1, 1)
