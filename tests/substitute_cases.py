"""Calls that the substitution rules replace: each with the rule's name, a module or function, and inputs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

X = torch.randn(2, 6, 9, 7, generator=torch.Generator().manual_seed(0)) * 3
WHOLE = torch.arange(24).reshape(2, 3, 4) % 5


class Fn(nn.Module):
    """A function of tensors."""

    def __init__(self, call: Callable[..., Any]) -> None:
        super().__init__()
        self.call = call

    def forward(self, *inputs: Tensor) -> Any:
        return self.call(*inputs)


def einsum(equation: str) -> Callable[..., Tensor]:
    return lambda x, y: torch.einsum(equation, x, y)


def resized(mode: str, **options: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: F.interpolate(x, mode=mode, **options)


def normed(shape: tuple[int, ...], **options: Any) -> nn.Module:
    layer = nn.LayerNorm(shape, **options)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def of_channels(x: Tensor) -> Tensor:
    """A layer norm over axis 1 of [N, 6, H, W], as convolutional networks call it."""
    weight, bias = torch.linspace(0.5, 2, 6), torch.linspace(-1, 1, 6)
    return F.layer_norm(x.permute(0, 2, 3, 1), (6,), weight, bias, 1e-6).permute(0, 3, 1, 2)


A, B = torch.randn(2, 3, 4), torch.randn(2, 4, 5)
CASES: dict[str, tuple[str, Callable[..., Any], tuple[Tensor, ...]]] = {
    "hardswish": ("hard_swish", F.hardswish, (X,)),
    "mish": ("mish", F.mish, (X * 10,)),
    "gelu": ("gelu", F.gelu, (X,)),
    "gelu, tanh": ("gelu", lambda x: F.gelu(x, approximate="tanh"), (X,)),
    "layer norm": ("layer_norm", normed((7,)), (X,)),
    "layer norm over three dimensions": ("layer_norm", normed((6, 9, 7), eps=1e-3), (X,)),
    "layer norm without parameters": ("layer_norm", normed((7,), elementwise_affine=False), (X,)),
    "layer norm without bias": ("layer_norm", normed((7,), bias=False), (X,)),
    "layer norm of channels": ("layer_norm", of_channels, (X,)),
    "hardshrink": ("shrink", lambda x: F.hardshrink(x, 0.7), (X,)),
    "softshrink": ("shrink", lambda x: F.softshrink(x, 1.2), (X,)),
    "xor": ("logical_xor", lambda x, y: torch.logical_xor(x > 0, y), (X, WHOLE[:1, :1, :1, None] * X)),
    "xor of bits": ("logical_xor", lambda x: (x > 0) ^ (x < 1), (X,)),
    "one hot": ("one_hot", lambda x: F.one_hot(x, 5), (WHOLE,)),
    "antialiased, smaller": ("antialiased_resize", resized("bilinear", size=(4, 5), antialias=True), (X,)),
    "antialiased cubic, mixed": ("antialiased_resize", resized("bicubic", size=(4, 15), antialias=True), (X,)),
    "antialiased, factors": ("antialiased_resize", resized("bilinear", scale_factor=(0.7, 0.6), antialias=True), (X,)),
    "cubic": ("cubic_resize", resized("bicubic", size=(15, 5)), (X,)),
    "cubic, aligned corners": ("cubic_resize", resized("bicubic", size=(4, 5), align_corners=True), (X,)),
    "cubic, by factors": ("cubic_resize", resized("bicubic", scale_factor=(1.7, 2)), (X,)),
    "einsum, batched product": ("einsum", einsum("bij,bjk->bik"), (A, B)),
    "einsum, implied result": ("einsum", einsum("ij, jk"), (A[0], B[0])),
    "einsum, permuted": ("einsum", einsum("nij,nkj->ikn"), (A, torch.randn(2, 5, 4))),
    "einsum, attention": ("einsum", einsum("bhwqd,bkqd->bqhwk"), (torch.randn(2, 3, 4, 2, 5), torch.randn(2, 6, 2, 5))),
    "einsum, outer": ("einsum", einsum("i,j->ij"), (A[0, 0], B[0, 0])),
    "einsum, sums over one operand": ("einsum", einsum("bij,bkl->b"), (A, B)),
    "einsum, broadcast batch": ("einsum", einsum("bij,bjk->bik"), (A, B[:1])),
}  # fmt: skip


def module(call: Callable[..., Any]) -> nn.Module:
    return call if isinstance(call, nn.Module) else Fn(call)
