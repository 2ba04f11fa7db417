"""Windows put together again, as a transposed convolution."""

from math import prod

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments, full
from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule
from nascc.passes.substitute.shapes import sizes_or_minus_one, text

aten = torch.ops.aten


def _refusal(node: Node) -> str | None:
    sizes = g.shape(node)
    if len(sizes) != 4 or not all(isinstance(size, int) for size in sizes[1:]):
        return f"puts together {text(sizes)}, must be [N, C, H, W] with fixed sizes behind the first"
    return None


def _build(edit: Edit, node: Node) -> Node:
    """col2im(x) -> conv_transpose(reshape(x), one-hot kernels). Equal up to rounding.

    x [N, C * kh * kw, L] becomes [N, C * kh * kw, rows, columns] of windows, kernels [C * kh * kw, 1, kh, kw].
    """
    a = arguments(node)
    kernel, dilation, padding, stride = (full(a[key], 2) for key in ("kernel_size", "dilation", "padding", "stride"))
    image, channels, places = [int(s) for s in g.shape(node)[2:]], int(g.shape(node)[1]), prod(kernel)
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    count = [(z + 2 * p - r) // s + 1 for z, p, r, s in zip(image, padding, reach, stride, strict=True)]
    extra = [z - ((c - 1) * s - 2 * p + r) for z, c, s, p, r in zip(image, count, stride, padding, reach, strict=True)]
    one_hot = torch.eye(places, dtype=torch.float64).reshape(places, 1, *kernel).repeat(channels, 1, 1, 1)
    weight = edit.constant(one_hot, f"{g.label(node)}.windows", like=a["self"])
    windows = [*sizes_or_minus_one(g.shape(node)[:1]), channels * places, *count]
    x = edit.call(aten.reshape.default, a["self"], windows)
    return edit.call(aten.convolution.default, x, weight, None, stride, padding, dilation, True, extra, channels)


COL2IM = Rule((aten.col2im.default,), _build, _refusal)
