"""The operator that does as little as possible."""

from torch import nn

from nascc.nas.blocks.conv_norm import ConvNormAct
from nascc.nas.core.context import Ctx


def skip(ctx: Ctx) -> nn.Module:
    """Identity where shapes agree; elsewhere 1x1 convolution with the stride, BN, activation (LightNAS's code)."""
    return nn.Identity() if ctx.keeps_shape else ConvNormAct(ctx.c_in, ctx.c_out, 1, ctx.stride, act=ctx.activation)
