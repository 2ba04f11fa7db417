"""The operators that may replace a block (hant.md, section 1); a new one is one function here.

CB is a convolution with batch norm, R a ReLU, S a squeeze-and-excitation. Widths `w` and expansions `e` multiply the
channels that go out of, or come into, the block. Where the shape is kept, every operator has a shortcut; elsewhere
its main convolution has the stride.
"""

from torch import nn

from nascc.nas.blocks.attention import BottleneckAttention, Transformer
from nascc.nas.blocks.lambda_layer import LambdaLayer
from nascc.nas.blocks.residual import Branches, Residual, SpatialTokens, conv_norm, conv_norm_act, gate
from nascc.nas.core import Ctx
from nascc.nas.pool.family import Family, Operator, family

KERNELS = (1, 3, 5, 7)
WIDTHS = (1 / 16, 1 / 10, 1 / 8, 1 / 5, 1 / 4, 1 / 2, 1, 2, 3, 4)
EXPANSIONS = (0.25, 0.5, 1, 2, 3, 4)
SMALL = 1024
"""Positions that attention may compare with each other."""


def wide(channels: float) -> int:
    """A number of channels of at least 4."""
    return max(4, round(channels))


def few_positions(ctx: Ctx) -> bool:
    """Is the map small enough for attention between all of its positions?"""
    return ctx.out_shape[1] * ctx.out_shape[2] <= SMALL


@family(k=(1, 3, 5), e=(1, 3, 6), se=(0, 0.04, 0.25))
def efn(ctx: Ctx, k: int, e: float, se: float) -> nn.Module:
    """Inverted residual (MobileNetV2, EfficientNet): CBR 1x1, CBR kxk by channel, S, CB 1x1."""
    mid = wide(ctx.c_in * e)
    first = [conv_norm_act(ctx.c_in, mid)] if e != 1 else []
    mid = mid if first else ctx.c_in
    layers = [conv_norm_act(mid, mid, k, ctx.stride, groups=mid), *gate(mid, ctx.c_in, se), conv_norm(mid, ctx.c_out)]
    return Residual(ctx, *first, *layers)


@family(k=(1, 3, 5), e=(1, 3, 6), se=(0, 0.04, 0.25))
def efnv2(ctx: Ctx, k: int, e: float, se: float) -> nn.Module:
    """Fused inverted residual (EfficientNetV2): CBR kxk, S, CB 1x1."""
    mid = wide(ctx.c_in * e)
    layers = [conv_norm_act(ctx.c_in, mid, k, ctx.stride), *gate(mid, ctx.c_in, se), conv_norm(mid, ctx.c_out)]
    return Residual(ctx, *layers)


@family(k=KERNELS, w=WIDTHS)
def cb_stack(ctx: Ctx, k: int, w: float) -> nn.Module:
    """CB kxk, R, CB kxk."""
    mid = wide(ctx.c_out * w)
    return Residual(ctx, conv_norm_act(ctx.c_in, mid, k, ctx.stride), conv_norm(mid, ctx.c_out, k))


@family(k=KERNELS, w=WIDTHS)
def cb_bottle(ctx: Ctx, k: int, w: float) -> nn.Module:
    """CBR 1x1, CBR kxk, CB 1x1."""
    mid = wide(ctx.c_out * w)
    layers = [conv_norm_act(ctx.c_in, mid), conv_norm_act(mid, mid, k, ctx.stride), conv_norm(mid, ctx.c_out)]
    return Residual(ctx, *layers)


@family(k=KERNELS)
def cb_res(ctx: Ctx, k: int) -> nn.Module:
    """A single CB kxk."""
    return Residual(ctx, conv_norm(ctx.c_in, ctx.c_out, k, ctx.stride))


@family(k=(3, 5, 7))
def repvgg(ctx: Ctx, k: int) -> nn.Module:
    """RepVGG: kxk and 1x1 branches and the input, each with batch norm, R behind their sum; deployed as one conv."""
    return Branches(ctx, k, 1)


@family(k=KERNELS, w=(0.5, 1))
def conv_cs(ctx: Ctx, k: int, w: float) -> nn.Module:
    """CBR kxk, CBR kxk: a pair without a linear end."""
    mid = wide(ctx.c_out * w)
    return Residual(ctx, conv_norm_act(ctx.c_in, mid, k, ctx.stride), conv_norm_act(mid, ctx.c_out, k))


@family(few_positions, d=(1, 2), w=(32, 64, 128, 256, 512, 1024), h=(4, 8, 16))
def vit(ctx: Ctx, d: int, w: int, h: int) -> nn.Module:
    """Transformer layers (ViT) over the positions of the map: `d` layers of width `w` with `h` heads."""
    layers = [SpatialTokens(Transformer(w, h)) for _ in range(d)]
    return Residual(ctx, conv_norm(ctx.c_in, w, 1, ctx.stride), *layers, conv_norm(w, ctx.c_out))


@family(few_positions, e=EXPANSIONS)
def bot(ctx: Ctx, e: float) -> nn.Module:
    """Bottleneck transformer: CBR 1x1, attention between positions, BR, CB 1x1."""
    mid = max(4, 4 * round(ctx.c_out * e / 4))
    layers = [conv_norm_act(ctx.c_in, mid, 1, ctx.stride), BottleneckAttention(ctx.out_shape[1:], mid)]
    return Residual(ctx, *layers, conv_norm(mid, ctx.c_out))


@family(few_positions, e=EXPANSIONS)
def lambda_bottle(ctx: Ctx, e: float) -> nn.Module:
    """Lambda bottleneck: CBR 1x1, lambda layer, BR, CB 1x1."""
    mid = max(4, 4 * round(ctx.c_out * e / 4))
    layers = [conv_norm_act(ctx.c_in, mid, 1, ctx.stride), LambdaLayer(mid)]
    return Residual(ctx, *layers, conv_norm(mid, ctx.c_out))


FAMILIES: tuple[Family, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Family))
"""Every function of this file that is a family."""
POOL: tuple[Operator, ...] = tuple(operator for one in FAMILIES for operator in one.operators())
"""All operators, besides the teacher's own block and the identity."""
TOY = (
    "efn_k3_e1_se0 efn_k5_e1_se0 efn_k3_e3_se0 efn_k5_e3_se0 efnv2_k3_e1_se0 cb_stack_k3_w0.25 cb_stack_k3_w0.5 "
    "cb_stack_k3_w1 cb_bottle_k3_w0.25 cb_bottle_k3_w0.5 cb_res_k1 cb_res_k3"
).split()
"""A dozen that a small network can learn from in minutes (hant.md, section 1)."""
