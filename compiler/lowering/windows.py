"""Sliding windows taken apart and put together: unfold, fold, Tensor.unfold."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from nascc.compiler.lowering.conv import full
from nascc.compiler.lowering.layout import reshape, transpose
from nascc.compiler.lowering.pieces import gather
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten
Ints = Sequence[int]


def im2col(w: Writer, x: Value, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> Value:
    """x [N, C, H, W] -> [N, C * kh * kw, positions]: rows and columns gathered by constant indices."""
    n, c, *sizes = x.shape
    if x.rank != 4 or any(not isinstance(d, int) for d in sizes):
        raise Refusal("unfolds windows of an image that is not [N, C, H, W] with fixed height and width")
    if any(padding):
        padded = tuple(int(d) + 2 * p for d, p in zip(sizes, full(padding, 2), strict=True))
        amounts = [0, 0, *full(padding, 2)]
        x = w.emit("Pad", x, w.ints(amounts * 2), dtype=x.dtype, shape=(n, c, *padded), mode="constant")
    options = zip(x.shape[2:], *(full(v, 2) for v in (kernel, dilation, stride)), strict=True)
    rows, columns = (_window_indices(int(size), k, d, s) for size, k, d, s in options)
    tall = gather(w, x, w.literal(rows, torch.int64), 2)
    wide = gather(w, tall, w.literal(columns, torch.int64), 4)
    return reshape(w, transpose(w, wide, [0, 1, 2, 4, 3, 5]), w.out.shape)


def _window_indices(size: int, kernel: int, dilation: int, stride: int) -> torch.Tensor:
    """[kernel, positions]: which element of the axis each window reads."""
    count = (size - dilation * (kernel - 1) - 1) // stride + 1
    return torch.arange(kernel)[:, None] * dilation + torch.arange(count)[None, :] * stride


def col2im(w: Writer, x: Value, size: Ints, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> Value:
    """x [N, C * kh * kw, positions] -> [N, C, H, W], overlaps added: a transposed convolution with one-hot kernels."""
    size, kernel, dilation, padding, stride = (full(v, 2) for v in (size, kernel, dilation, padding, stride))
    if w.opset >= 18:
        pads = [*padding, *padding]
        image, block = w.ints(size), w.ints(kernel)
        return w.emit("Col2Im", x, image, block, dtype=x.dtype, dilations=dilation, pads=pads, strides=stride)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    count = [(z + 2 * p - r) // s + 1 for z, p, r, s in zip(size, padding, reach, stride, strict=True)]
    extra = [z - ((c - 1) * s - 2 * p + r) for z, c, s, p, r in zip(size, count, stride, padding, reach, strict=True)]
    n, packed, _ = x.shape
    places = math.prod(kernel)
    channels = int(packed) // places
    weight = torch.eye(places, dtype=torch.float64).reshape(places, 1, *kernel).repeat(channels, 1, 1, 1)
    return w.emit(
        "ConvTranspose",
        reshape(w, x, (n, packed, *count)),
        w.literal(weight, x.dtype),
        dtype=x.dtype,
        kernel_shape=kernel,
        strides=stride,
        pads=[*padding, *padding],
        dilations=dilation,
        group=channels,
        output_padding=extra,
    )


def unfold(w: Writer, x: Value, dim: int, size: int, step: int) -> Value:
    """Windows along one axis as a new last axis."""
    axis = dim % x.rank
    length = x.shape[axis]
    if not isinstance(length, int):
        raise Refusal("takes windows along an axis of dynamic size")
    windows = gather(w, x, w.literal(_window_indices(length, size, 1, step).t(), torch.int64), axis)
    return transpose(w, windows, [i for i in range(windows.rank) if i != axis + 1] + [axis + 1])


LOWERINGS: dict[Any, Any] = {
    aten.im2col.default: im2col,
    aten.col2im.default: col2im,
    aten.unfold.default: unfold,
}
