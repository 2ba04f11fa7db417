"""Convolutions, plain and transposed, in one, two and three dimensions."""

from collections.abc import Sequence
from typing import Any

import torch

from nascc.compiler.lowering.dtypes import cast_all
from nascc.compiler.lowering.layout import squeeze, unsqueeze
from nascc.compiler.lowering.padding import absorb_padding
from nascc.compiler.lowering.values import Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten
Ints = Sequence[int]


def convolution(
    w: Writer,
    x: Value,
    weight: Value,
    bias: Value | None,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    transposed: bool,
    output_padding: Ints,
    groups: int,
) -> Value:
    """x [N, C, *spatial] * weight [C_out, C/g, *kernel] (transposed: [C, C_out/g, *kernel])."""
    spatial = weight.rank - 2
    if x.rank == spatial + 1:
        x = unsqueeze(w, x, [0])
        one = convolution(w, x, weight, bias, stride, padding, dilation, transposed, output_padding, groups)
        return squeeze(w, one, [0])
    stride, padding, dilation, output_padding = (full(v, spatial) for v in (stride, padding, dilation, output_padding))
    pads = (padding, padding)
    if not transposed:
        x, pads = absorb_padding(x, pads, filler=0.0)
    x_, weight_, bias_ = cast_all(w, w.out.dtype, x, weight, bias)
    extra: dict[str, Any] = {"output_padding": output_padding} if transposed and any(output_padding) else {}
    shape = w.out.shape if len(w.out.shape) == spatial + 2 else (1, *w.out.shape)
    return w.emit(
        "ConvTranspose" if transposed else "Conv",
        x_,
        weight_,
        bias_,
        shape=shape,
        kernel_shape=list(weight.shape[2:]),
        strides=stride,
        pads=[*pads[0], *pads[1]],
        dilations=dilation,
        group=groups,
        **extra,
    )


def full(values: Ints | int, n: int) -> list[int]:
    """A per-dimension option as a list of `n`; one value stands for all."""
    if isinstance(values, int):
        return [values] * n
    return list(values) * n if len(values) == 1 else list(values)


LOWERINGS = {aten.convolution.default: convolution}
