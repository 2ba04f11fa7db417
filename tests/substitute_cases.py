"""Calls that the substitution rules replace: each with the rule's name, a module or function, and inputs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit import randomised

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


def grouped(groups: int, channels: int = 6, **options: Any) -> nn.Module:
    return randomised(nn.GroupNorm(groups, channels, **options))


def attended(**options: Any) -> Callable[..., Tensor]:
    """Attention of q [..., L, E] to k and v [..., S, E], perhaps with a mask."""
    return lambda q, k, v, *mask: F.scaled_dot_product_attention(q, k, v, *mask, **options)


def fold(size: tuple[int, int], kernel: Any, **options: Any) -> Callable[[Tensor], Tensor]:
    return lambda x: F.fold(x, size, kernel, **options)


Q, K, V = (torch.randn(2, 4, length, 8, generator=torch.Generator().manual_seed(length)) for length in (5, 7, 7))
SEEN = torch.ones(5, 7, dtype=torch.bool).tril(2)
SIGNED = torch.tensor([[-7, -6, -1, 0, 1, 5], [6, 7, 2**31, -(2**31), -4, 4]])
DIVISORS = torch.tensor([[3, -3, 2, -2, 7, -7]])
ENDLESS = torch.tensor([[1.0, -torch.inf, torch.inf, 0.0]])
POSITIVE = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(1)) + 0.5
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
    "silu": ("silu", F.silu, (X,)),
    "reciprocal": ("reciprocal", torch.reciprocal, (POSITIVE,)),
    "reciprocal of integers": ("reciprocal", torch.reciprocal, (WHOLE + 1,)),
    "reciprocal root": ("reciprocal", lambda x: torch.rsqrt(x.abs() + 0.1), (X,)),
    "reciprocal as a power": ("reciprocal", lambda x: (x.abs() + 0.1) ** -1, (X,)),
    "reciprocal root as a power": ("reciprocal", lambda x: (x.abs() + 0.1) ** -0.5, (X,)),
    "upper triangle": ("triangle", torch.triu, (X,)),
    "lower triangle above the diagonal": ("triangle", lambda x: torch.tril(x, 2), (X,)),
    "triangle of integers": ("triangle", lambda x: torch.triu(x, -1), (WHOLE,)),
    "triangle of booleans": ("triangle", lambda x: torch.tril(x > 0), (X,)),
    "triangle of what is not finite": ("triangle", lambda x: torch.tril(x).isnan(), (torch.full((3, 3), torch.inf),)),
    "infinity": ("is_inf", torch.isinf, (ENDLESS,)),
    "remainder": ("modulo", lambda x: x % 3, (SIGNED,)),
    "remainder, negative divisor": ("modulo", lambda x: x % -4, (SIGNED,)),
    "remainder of tensors": ("modulo", torch.remainder, (SIGNED, DIVISORS)),
    "remainder of small integers": ("modulo", torch.remainder, (SIGNED[:, :2].int(), DIVISORS[:, :2].int())),
    "remainder towards zero": ("modulo", torch.fmod, (SIGNED, DIVISORS)),
    "remainder towards zero of a number": ("modulo", lambda x: torch.fmod(x, -3), (SIGNED,)),
    "quotient rounded down": ("modulo", lambda x: x // 3, (SIGNED,)),
    "quotient of tensors rounded down": ("modulo", torch.floor_divide, (SIGNED, DIVISORS)),
    "quotient, mode floor": ("modulo", lambda x: torch.div(x, -4, rounding_mode="floor"), (SIGNED,)),
    "bits turned": ("bitwise_not", lambda x: ~x, (SIGNED,)),
    "group norm": ("group_norm", grouped(3), (X,)),
    "group norm of one group": ("group_norm", grouped(1, eps=1e-3), (X,)),
    "group norm without parameters": ("group_norm", grouped(6, affine=False), (X,)),
    "group norm of vectors": ("group_norm", grouped(2), (X[:, :, 0, 0],)),
    "instance norm": ("instance_norm", randomised(nn.InstanceNorm2d(6, affine=True)), (X,)),
    "instance norm of sequences": ("instance_norm", nn.InstanceNorm1d(6), (X[:, :, 0],)),
    "group norm written as instance norm": ("instance_norm", grouped(2), (X,)),
    "attention": ("attention", attended(), (Q, K, V)),
    "attention, added mask": ("attention", attended(), (Q, K, V, torch.randn(5, 7))),
    "attention, boolean mask": ("attention", attended(), (Q, K, V, SEEN)),
    "attention, causal": ("attention", attended(is_causal=True, scale=0.5), (Q, K, V)),
    "attention, shared heads": ("attention", attended(enable_gqa=True), (Q, K[:, :2], V[:, :2])),
    "adaptive pool": ("adaptive_pool", lambda x: F.adaptive_avg_pool2d(x, (4, 3)), (X,)),
    "adaptive pool, one side": ("adaptive_pool", lambda x: F.adaptive_avg_pool2d(x, (None, 3)), (X,)),
    "adaptive pool, larger": ("adaptive_pool", lambda x: F.adaptive_avg_pool2d(x, (12, 5)), (X,)),
    "adaptive pool, even windows": ("adaptive_pool", lambda x: F.adaptive_avg_pool2d(x, (3, 7)), (X,)),
    "adaptive pool, mean": ("adaptive_pool", lambda x: F.adaptive_avg_pool2d(x, 1), (X,)),
    "adaptive pool of sequences": ("adaptive_pool", lambda x: F.adaptive_avg_pool1d(x, 4), (X[:, :, 0],)),
    "adaptive pool of volumes": ("adaptive_pool", lambda x: F.adaptive_avg_pool3d(x, (4, 5, 3)), (X[None],)),
    "adaptive pool without batch": ("adaptive_pool", lambda x: F.adaptive_avg_pool2d(x, (4, 3)), (X[0],)),
    "windows": ("col2im", fold((9, 8), 3), (torch.randn(2, 18, 42),)),
    "windows, overlapping": ("col2im", fold((9, 8), (3, 2), stride=2, padding=1), (torch.randn(2, 12, 25),)),
    "windows, dilated": ("col2im", fold((9, 8), 2, dilation=3, stride=(2, 1)), (torch.randn(2, 8, 15),)),
}  # fmt: skip
PLAIN: dict[str, tuple[Callable[..., Any], tuple[Tensor, ...]]] = {
    "largest values of uneven windows": (lambda x: F.adaptive_max_pool2d(x, (4, 3)), (X,)),
    "linear resize": (resized("bilinear", size=(5, 11)), (X,)),
    "nearest resize": (resized("nearest", size=(5, 11)), (X,)),
    "rolled": (lambda x: torch.roll(x, (1, 2), (2, 3)), (X,)),
    "flipped": (lambda x: x.flip(2), (X,)),
    "place of the largest": (lambda x: x.argmax(1), (X,)),
    "largest two": (lambda x: x.topk(2)[0], (X,)),
    "running sum": (lambda x: x.cumsum(1), (X,)),
    "softplus with a threshold": (lambda x: F.softplus(x, 2.0, 5.0), (X,)),
    "threshold": (lambda x: F.threshold(x, 0.1, 2.0), (X,)),
    "hard sigmoid": (F.hardsigmoid, (X,)),
    "log sigmoid": (F.logsigmoid, (X,)),
    "gated": (lambda x: F.glu(x, 1), (X,)),
    "unit length": (lambda x: F.normalize(x, dim=1), (X,)),
    "variance": (lambda x: x.var(1), (X,)),
    "windows taken apart": (lambda x: F.unfold(x, 3), (X,)),
    "pixels shuffled": (lambda x: F.pixel_shuffle(x[:, :4], 2), (X,)),
    "reflected border": (lambda x: F.pad(x, (1, 1, 2, 2), mode="reflect"), (X,)),
    "masked": (lambda x: x.masked_fill(x > 0, 0.0), (X,)),
}
"""Calls that need no rule: the lowering writes them in operators that every target has."""


def module(call: Callable[..., Any]) -> nn.Module:
    return call if isinstance(call, nn.Module) else Fn(call)
