"""Max and average pooling with fixed windows; torch's rounding up becomes explicit padding at the end."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from nascc.compiler.lowering.arithmetic import binary
from nascc.compiler.lowering.conv import full
from nascc.compiler.lowering.layout import reshape, squeeze, unsqueeze
from nascc.compiler.lowering.padding import Pads, absorb_padding
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Dim, Shape, Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten
Ints = Sequence[int]
LOWEST = float("-inf")
NEVER_NEGATIVE = ("Relu", "Sigmoid", "Abs", "Softmax", "HardSigmoid", "Exp", "Softplus")


@dataclass(frozen=True)
class Window:
    """A pooling window over the spatial axes: sizes, steps, (begin, end) pads, spacing, rounding up."""

    kernel: list[int]
    stride: list[int]
    pads: Pads
    dilation: list[int]
    ceil: bool

    @classmethod
    def of(cls, n: int, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil: bool) -> "Window":
        """A window over `n` axes; no stride means the kernel size."""
        sizes, pads = full(kernel, n), full(padding, n)
        return cls(sizes, full(stride, n) if stride else sizes, (pads, pads), full(dilation, n), ceil)

    def rounded_down(self, source: Shape, result: Shape) -> "Window":
        """The same windows without rounding up: the last one is reached by padding the end."""
        if not self.ceil or not all(isinstance(d, int) for d in (*source, *result)):
            return self
        ends = []
        for i, (size, count) in enumerate(zip(source, result, strict=True)):
            reach = (int(count) - 1) * self.stride[i] + self.dilation[i] * (self.kernel[i] - 1) + 1
            ends.append(max(self.pads[1][i], reach - int(size) - self.pads[0][i]))
        if any(end >= kernel for end, kernel in zip(ends, self.kernel, strict=True)):
            return self
        return replace(self, pads=(self.pads[0], ends), ceil=False)

    def accepts(self, pads: Pads) -> bool:
        """Are the pads smaller than the kernel, as ONNX wants it?"""
        return all(p < k for side in pads for p, k in zip(side, self.kernel, strict=True))

    def attributes(self) -> dict[str, list[int]]:
        """As ONNX attributes; rounding and dilation only where they matter."""
        found = {"kernel_shape": self.kernel, "strides": self.stride, "pads": [*self.pads[0], *self.pads[1]]}
        if any(d != 1 for d in self.dilation):
            found["dilations"] = self.dilation
        return found


def max_pool(
    n: int,
    w: Writer,
    x: Value,
    kernel: Ints,
    stride: Ints = (),
    padding: Ints = (0,),
    dilation: Ints = (1,),
    ceil: bool = False,
) -> Value:
    """Largest value of each window over the last `n` axes; -inf padding in front of it merges in."""
    if x.rank == n + 1:
        return squeeze(w, max_pool(n, w, unsqueeze(w, x, [0]), kernel, stride, padding, dilation, ceil), [0])
    x, window = _settle_maximum(w, x, Window.of(n, kernel, stride, padding, dilation, ceil))
    shape = (*x.shape[:2], *w.out.shape[-n:])
    window = window.rounded_down(x.shape[2:], shape[2:])
    rounding = {"ceil_mode": 1} if window.ceil else {}
    return w.emit("MaxPool", x, dtype=x.dtype, shape=shape, **window.attributes(), **rounding)


def _settle_maximum(w: Writer, x: Value, window: Window) -> tuple[Value, Window]:
    """Merge padding that can not win: -inf, or 0 beside values that are never negative.

    Any other zero padding gets a filler just above 0: onnxruntime would merge a plain 0 as if it were -inf.
    """
    for filler in (LOWEST, 0.0):
        base, pads = absorb_padding(x, window.pads, filler)
        if base is x or (filler == 0.0 and not (base.made_by(*NEVER_NEGATIVE) and set(window.dilation) == {1})):
            continue
        if not window.ceil and window.accepts(pads):
            return base, replace(window, pads=pads)
    base, _ = absorb_padding(x, window.pads, 0.0)
    if base is not x and x.op is not None:
        nearly = torch.finfo(x.dtype).smallest_normal if x.dtype != torch.float16 else 6e-8
        x = w.emit("Pad", *x.op.inputs[:2], w.scalar(nearly, x.dtype), dtype=x.dtype, shape=x.shape, mode="constant")
    return x, window


def max_pool_with_indices(n: int, w: Writer, x: Value, *options: Any) -> tuple[Value, Value | None]:
    """As max_pool, and the place of each maximum within its own image (ONNX counts through the whole tensor)."""
    result = max_pool(n, w, x, *options)
    op, image = result.op, x.shape[2:]
    if x.rank != n + 2 or op is None or op.inputs[0] is not x or not all(isinstance(d, int) for d in image):
        return result, None
    place = Value(torch.int64, result.shape, op)
    op.outputs = (result, place)
    return result, binary(w, "Mod", place, math.prod(int(d) for d in image), torch.int64)


def max_unpool(w: Writer, x: Value, places: Value, size: Sequence[int]) -> Value:
    """Each value put back to its place in an image of zeros."""
    *batch, height, width = w.out.shape
    if not isinstance(height, int) or not isinstance(width, int) or not x.is_static:
        raise Refusal("puts values back into an image of dynamic size")
    flat = (*batch, math.prod(int(d) for d in x.shape[len(batch) :]))
    zeros = w.literal(torch.zeros(*(int(d) for d in batch), height * width), x.dtype)
    parts = (reshape(w, v, flat) for v in (places, x))
    full_image = w.emit("ScatterElements", zeros, *parts, dtype=x.dtype, shape=zeros.shape, axis=len(batch))
    return reshape(w, full_image, w.out.shape)


def avg_pool(
    n: int,
    w: Writer,
    x: Value,
    kernel: Ints,
    stride: Ints = (),
    padding: Ints = (0,),
    ceil: bool = False,
    count_include_pad: bool = True,
    divisor: int | None = None,
) -> Value:
    """Mean of each window, or its sum over `divisor`."""
    if x.rank == n + 1:
        one = avg_pool(n, w, unsqueeze(w, x, [0]), kernel, stride, padding, ceil, count_include_pad, divisor)
        return squeeze(w, one, [0])
    window = Window.of(n, kernel, stride, padding, (1,), ceil)
    include = count_include_pad or divisor is not None
    x, window, include = _settle_padding(w, x, window, include)
    shape = (*x.shape[:2], *w.out.shape[-n:])
    window = window.rounded_down(x.shape[2:], shape[2:])
    flags = {"ceil_mode": int(window.ceil), "count_include_pad": int(include)}
    flags = {name: 1 for name, flag in flags.items() if flag}
    result = w.emit("AveragePool", x, dtype=x.dtype, shape=shape, **window.attributes(), **flags)
    if divisor is None:
        return result
    area = torch.tensor(window.kernel).prod().item()
    return binary(w, "Mul", result, area / divisor, result.dtype)


def _settle_padding(w: Writer, x: Value, window: Window, include: bool) -> tuple[Value, Window, bool]:
    """Merge a zero pad that counts as data; write one where padding counts and the end is rounded up."""
    padded = any(window.pads[0])
    if window.ceil and include and padded:
        begins, ends = ([0, 0, *side] for side in window.pads)
        shape = (*x.shape[:2], *(_grown(d, 2 * p) for d, p in zip(x.shape[2:], window.pads[0], strict=True)))
        x = w.emit("Pad", x, w.ints([*begins, *ends]), dtype=x.dtype, shape=shape, mode="constant")
        nothing = [0] * len(window.kernel)
        return x, replace(window, pads=(nothing, nothing)), False
    if window.ceil or (padded and not include):
        return x, window, include and padded
    base, pads = absorb_padding(x, window.pads, filler=0.0)
    if window.accepts(pads):
        x, window = base, replace(window, pads=pads)
    return x, window, any(window.pads[0] + window.pads[1])


def _grown(dim: Dim, amount: int) -> Dim:
    return dim + amount if isinstance(dim, int) else f"{dim} + {amount}"


LOWERINGS: dict[Any, Any] = {
    aten.max_pool1d.default: partial(max_pool, 1),
    aten.max_pool2d.default: partial(max_pool, 2),
    aten.max_pool3d.default: partial(max_pool, 3),
    aten.max_pool2d_with_indices.default: partial(max_pool_with_indices, 2),
    aten.max_pool3d_with_indices.default: partial(max_pool_with_indices, 3),
    aten.max_unpool2d.default: max_unpool,
    aten.avg_pool1d.default: partial(avg_pool, 1),
    aten.avg_pool2d.default: partial(avg_pool, 2),
    aten.avg_pool3d.default: partial(avg_pool, 3),
}
