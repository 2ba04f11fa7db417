"""Operators from what PyTorch calls hold: convolutions, linear layers, batch norms, per-channel maps, pads."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nascc.passes.errors import PassError
from nascc.passes.linear.embed import tidy
from nascc.passes.linear.operator import Ints, Operator


def convolution(
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int] | Sequence[tuple[int, int]],
    dilation: Sequence[int],
    groups: int = 1,
    *,
    transposed: bool = False,
    output_padding: Sequence[int] | None = None,
) -> Operator:
    """The operator of `aten.convolution`: the same arguments; padding may be (before, after) pairs.

    weight [C_out, C_in / g, *k], transposed [C_in, C_out / g, *k]; bias [C_out].
    """
    _check(weight, groups)
    sides = [(p, p) if isinstance(p, int) else tuple(p) for p in padding]
    spans = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    one = (1,) * len(spans)
    if not transposed:
        grid = tuple(tuple(range(-b, s - b + 1, d)) for (b, _), s, d in zip(sides, spans, dilation, strict=True))
        extent = tuple(b + a - s for (b, a), s in zip(sides, spans, strict=True))
        return tidy(Operator(weight.double(), grid, one, tuple(stride), extent, groups, _double(bias)))
    extra = output_padding or [0] * len(spans)
    grid = tuple(tuple(range(b - s, b + 1, d)) for (b, _), s, d in zip(sides, spans, dilation, strict=True))
    extent = tuple(s - b - a + e for (b, a), s, e in zip(sides, spans, extra, strict=True))
    kernel = _correlation(weight.double(), groups)
    return tidy(Operator(kernel, grid, tuple(stride), one, extent, groups, _double(bias)))


def _correlation(weight: Tensor, groups: int) -> Tensor:
    """Transposed weight [C_in, C_out / g, *k] as a kernel [C_out, C_in / g, *taps ascending]."""
    channels, outer, taps = weight.shape[0], weight.shape[1], weight.shape[2:]
    kernel = weight.reshape(groups, channels // groups, outer, *taps).transpose(1, 2)
    return kernel.reshape(groups * outer, channels // groups, *taps).flip(tuple(range(2, 2 + len(taps))))


def _check(weight: Tensor, groups: int) -> None:
    if weight.numel() == 0 or groups < 1 or weight.shape[0] % groups:
        raise PassError(
            f"a linear operator must have channels that its groups divide, got weight {list(weight.shape)} "
            f"and {groups} groups; leave such a layer out of the region"
        )


def linear(weight: Tensor, bias: Tensor | None, rank: int = 0) -> Operator:
    """x @ weight.T + bias over the channels; weight [C_out, C_in]. Of any rank it is a 1x1 convolution."""
    kernel = weight.double().reshape(*weight.shape, *[1] * rank)
    return tidy(_pointwise(kernel, bias, groups=1))


def linear_on_flattened(weight: Tensor, bias: Tensor | None, size: Sequence[int]) -> Operator:
    """flatten, then linear: weight [C_out, C * prod(size)] as a kernel as large as the image, outputs of size 1."""
    kernel = weight.reshape(weight.shape[0], -1, *size)
    rank = len(size)
    return convolution(kernel, bias, [1] * rank, [0] * rank, [1] * rank)


def per_channel(scale: Tensor, shift: Tensor | None, rank: int) -> Operator:
    """x * scale + shift, both [C]: a batch norm in inference, a layer scale, (x - mean) / std."""
    return _pointwise(scale.double().reshape(-1, 1, *[1] * rank), shift, groups=scale.shape[0])


def batch_norm(
    weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float, rank: int
) -> Operator:
    """An inference batch norm, all [C]: scale = weight / sqrt(var + eps), shift = bias - mean * scale."""
    scale = (var.double() + eps).rsqrt()
    scale = scale if weight is None else weight.double() * scale
    shift = -mean.double() * scale
    return per_channel(scale, shift if bias is None else shift + bias.double(), rank)


def identity(channels: int, rank: int) -> Operator:
    """x: an identity activation, or the straight branch of a residual."""
    return per_channel(torch.ones(channels, dtype=torch.float64), None, rank)


def constant_pad(channels: int, padding: Sequence[tuple[int, int]], value: Tensor | float = 0.0) -> Operator:
    """x with `padding[d]` = (before, after) pixels of `value` (a number or [C]) around it; negative ones crop."""
    rank = len(padding)
    values = torch.as_tensor(value, dtype=torch.float64).expand(channels)
    kernel = torch.ones(channels, 1, *[1] * rank, dtype=torch.float64)
    _check(kernel, groups=1)
    grid = tuple((-b,) for b, _ in padding)
    one = (1,) * rank
    extent = tuple(b + a for b, a in padding)
    return tidy(Operator(kernel, grid, one, one, extent, channels, pad_value=values.clone()))


def _pointwise(kernel: Tensor, bias: Tensor | None, groups: int) -> Operator:
    _check(kernel, groups)
    one: Ints = (1,) * (kernel.ndim - 2)
    zero = (0,) * len(one)
    return tidy(Operator(kernel, ((0,),) * len(one), one, one, zero, groups, _double(bias)))


def _double(vector: Tensor | None) -> Tensor | None:
    return None if vector is None else vector.double()
