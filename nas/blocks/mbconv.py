"""The mobile inverted bottleneck: expand, filter each channel, project."""

from torch import Tensor, nn

from nascc.nas.blocks.activations import activation
from nascc.nas.blocks.conv_norm import ConvNorm, ConvNormAct
from nascc.nas.blocks.squeeze_excite import SqueezeExcite
from nascc.nas.core.context import Ctx


class MBConv(nn.Module):
    """1x1 (C_in -> round(C_in e)) BN act, depthwise kxk BN [SE] act, 1x1 BN, plus the input where shapes agree.

    [N, C_in, H, W] -> [N, C_out, ceil(H / stride), ceil(W / stride)]. With e = 1 there is no expansion, unless
    `groups` > 1: then both 1x1 are grouped, with a channel shuffle after the first (FBNet).
    """

    def __init__(self, ctx: Ctx, kernel: int, expansion: float, groups: int = 1, se: bool = False) -> None:
        super().__init__()
        hidden = round(ctx.c_in * expansion)
        expands = expansion != 1 or groups > 1
        self.expand = ConvNormAct(ctx.c_in, hidden, 1, groups=groups, act=ctx.activation) if expands else None
        self.shuffle = nn.ChannelShuffle(groups) if groups > 1 else None
        self.depthwise = ConvNorm(hidden, hidden, kernel, ctx.stride, groups=hidden)
        self.gate = SqueezeExcite(hidden) if se else None
        self.activation = activation(ctx.activation)
        self.project = ConvNorm(hidden, ctx.c_out, 1, groups=groups)
        self.residual = ctx.keeps_shape

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x if self.expand is None else self.expand(x)
        y = y if self.shuffle is None else self.shuffle(y)
        y = self.depthwise(y)
        y = y if self.gate is None else self.gate(y)
        y = self.project(self.activation(y))
        return x + y if self.residual else y
