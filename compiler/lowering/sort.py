"""Order along an axis: the largest few, sorting, running sums."""

from typing import Any

import torch

from nascc.compiler.lowering.dtypes import SMALL_INTEGERS, cast
from nascc.compiler.lowering.layout import squeeze
from nascc.compiler.lowering.pieces import slice_axis
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Spec, Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten


def topk(
    w: Writer, x: Value, k: int | Value, dim: int = -1, largest: bool = True, is_sorted: bool = True
) -> tuple[Value, ...]:
    """The k largest (or smallest) values along an axis, and where they are."""
    axis = dim % max(x.rank, 1)
    if x.dtype in SMALL_INTEGERS:
        values, places = topk(w, cast(w, x, torch.int32), k, dim, largest, is_sorted)
        return cast(w, values, x.dtype), places
    shape = (*x.shape[:axis], w.out.shape[axis], *x.shape[axis + 1 :])
    specs = (Spec(x.dtype, shape), Spec(torch.int64, shape))
    count = k if isinstance(k, Value) else w.ints([k])
    return w.emit_many("TopK", x, count, specs=specs, axis=axis, largest=int(largest), sorted=int(is_sorted))


def sort(w: Writer, x: Value, dim: int = -1, descending: bool = False) -> tuple[Value, ...]:
    """All values in order along an axis, and where they were."""
    size = x.shape[dim]
    return topk(w, x, size if isinstance(size, int) else w.size(size, near=x), dim, descending)


def stable_sort(
    w: Writer, x: Value, *, stable: bool | None, dim: int = -1, descending: bool = False
) -> tuple[Value, ...]:
    """sort; ONNX gives equal elements in order of their place."""
    return sort(w, x, dim, descending)


def argsort(w: Writer, x: Value, dim: int = -1, descending: bool = False) -> Value:
    """Where the values in order were."""
    return sort(w, x, dim, descending)[1]


def kth_smallest(w: Writer, x: Value, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Value, ...]:
    """The k-th smallest value along an axis, and where it is."""
    axis = dim % max(x.rank, 1)
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    specs = (Spec(x.dtype, shape), Spec(torch.int64, shape))
    few = w.emit_many("TopK", x, w.ints([k]), specs=specs, axis=axis, largest=0, sorted=1)
    last = [slice_axis(w, v, axis, k - 1, k, 1, 1) for v in few]
    return tuple(v if keepdim else squeeze(w, v, [axis]) for v in last)


def median(w: Writer, x: Value, dim: int, keepdim: bool = False) -> tuple[Value, ...]:
    """The lower of the middle values along an axis, and where it is."""
    size = x.shape[dim]
    if not isinstance(size, int):
        raise Refusal("takes the median of an axis of dynamic size")
    return kth_smallest(w, x, (size + 1) // 2, dim, keepdim)


def cumsum(w: Writer, x: Value, dim: int) -> Value:
    """Running sum along an axis."""
    x = cast(w, x, w.out.dtype)
    if x.rank == 0:
        return x
    if x.dtype in (torch.float16, torch.bfloat16) and w.opset < 14:
        raise Refusal("sums half-precision numbers, which ONNX has from opset 14 on")
    return w.emit("CumSum", x, w.scalar(dim % x.rank, torch.int64), dtype=x.dtype, shape=x.shape)


LOWERINGS: dict[Any, Any] = {
    aten.topk.default: topk,
    aten.sort.default: sort,
    aten.sort.stable: stable_sort,
    aten.argsort.default: argsort,
    aten.kthvalue.default: kth_smallest,
    aten.median.dim: median,
    aten.cumsum.default: cumsum,
}
