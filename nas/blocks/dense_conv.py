"""What a linear inverted bottleneck collapses to, as a block that can be trained."""

from torch import nn

from nascc.nas.blocks.activations import activation
from nascc.nas.core.context import Ctx


class DenseConv(nn.Sequential):
    """One kxk convolution with a bias, or with a batch norm instead, and an activation.

    [N, C_in, H, W] -> [N, C_out, ceil(H / stride), ceil(W / stride)]. A residual is in the kernel.
    """

    def __init__(self, ctx: Ctx, kernel: int, norm: bool = False) -> None:
        conv = nn.Conv2d(ctx.c_in, ctx.c_out, kernel, ctx.stride, kernel // 2, bias=not norm)
        super().__init__(conv, *([nn.BatchNorm2d(ctx.c_out)] if norm else []), activation(ctx.activation))
