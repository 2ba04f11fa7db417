"""Pooling to a given output size: global, evenly dividing windows, or exact uneven ones for static sizes."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from nascc.compiler.lowering.layout import squeeze, unsqueeze
from nascc.compiler.lowering.pieces import concat, slice_axis
from nascc.compiler.lowering.reduction import reduce
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Shape, Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten


def adaptive_avg_pool(n: int, w: Writer, x: Value, size: Sequence[int]) -> Value:
    """Means over windows [floor(i*H/h), ceil((i+1)*H/h)) of the last `n` axes."""
    return _adaptive(n, w, x, "Average")


def adaptive_max_pool(n: int, w: Writer, x: Value, size: Sequence[int]) -> tuple[Value, None]:
    """Maxima over the same windows; their indices have no ONNX form."""
    return _adaptive(n, w, x, "Max"), None


def _adaptive(n: int, w: Writer, x: Value, kind: str) -> Value:
    sizes = w.out.shape[-n:]
    if x.rank == n + 1:
        return squeeze(w, _adaptive(n, w, unsqueeze(w, x, [0]), kind), [0])
    shape = (*x.shape[:2], *sizes)
    if all(size == 1 for size in sizes):
        return w.emit(f"Global{kind}Pool", x, dtype=x.dtype, shape=shape)
    if sizes == x.shape[2:]:
        return x
    pairs = list(zip(x.shape[2:], sizes, strict=True))
    if any(isinstance(d, str) and size != 1 and size != d for d, size in pairs):
        raise Refusal("pools an axis of dynamic size to a fixed size above 1; export with fixed height and width")
    if all(isinstance(d, int) and isinstance(size, int) and d % size == 0 for d, size in pairs):
        kernel = [int(d) // int(size) for d, size in pairs]
        return w.emit(f"{kind}Pool", x, dtype=x.dtype, shape=shape, kernel_shape=kernel, strides=kernel)
    for axis, (before, after) in enumerate(pairs, start=2):
        if before != after:
            x = _uneven(w, x, axis, int(before), int(after), kind) if after != 1 else _whole(w, x, axis, kind)
    return x


def _whole(w: Writer, x: Value, axis: int, kind: str) -> Value:
    return reduce(w, "ReduceMean" if kind == "Average" else "ReduceMax", x, [axis], keepdim=True)


def _uneven(w: Writer, x: Value, axis: int, before: int, after: int, kind: str) -> Value:
    shape = (*x.shape[:axis], after, *x.shape[axis + 1 :])
    windows = [(i * before // after, -(-(i + 1) * before // after)) for i in range(after)]
    if kind == "Average" and axis >= x.rank - 2:
        return _averaged(w, x, axis, windows, before, shape)
    parts = [slice_axis(w, x, axis, start, end, 1, end - start) for start, end in windows]
    return concat(w, [_whole(w, part, axis, kind) for part in parts], axis, shape)


def _averaged(w: Writer, x: Value, axis: int, windows: Sequence[tuple[int, int]], before: int, shape: Shape) -> Value:
    """Means of windows along one of the last two axes, as one product with a matrix of weights."""
    matrix = torch.zeros(len(windows), before, dtype=torch.float64)
    for i, (start, end) in enumerate(windows):
        matrix[i, start:end] = 1 / (end - start)
    if axis == x.rank - 1:
        return w.emit("MatMul", x, w.literal(matrix.t(), x.dtype), dtype=x.dtype, shape=shape)
    return w.emit("MatMul", w.literal(matrix, x.dtype), x, dtype=x.dtype, shape=shape)


LOWERINGS: dict[Any, Any] = {
    aten.adaptive_avg_pool1d.default: partial(adaptive_avg_pool, 1),
    aten.adaptive_avg_pool2d.default: partial(adaptive_avg_pool, 2),
    aten.adaptive_avg_pool3d.default: partial(adaptive_avg_pool, 3),
    aten._adaptive_avg_pool2d.default: partial(adaptive_avg_pool, 2),
    aten._adaptive_avg_pool3d.default: partial(adaptive_avg_pool, 3),
    aten.adaptive_max_pool1d.default: partial(adaptive_max_pool, 1),
    aten.adaptive_max_pool2d.default: partial(adaptive_max_pool, 2),
    aten.adaptive_max_pool3d.default: partial(adaptive_max_pool, 3),
}
