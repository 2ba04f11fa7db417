"""Sums, means, extrema, norms and spread over axes."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from nascc.compiler.lowering.arithmetic import binary, compare, unary, where
from nascc.compiler.lowering.dtypes import cast
from nascc.compiler.lowering.layout import reshape, unsqueeze
from nascc.compiler.lowering.reduction import all_axes, arg_extremum, reduce
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten
Axes = Sequence[int] | int | None


def reduction(kind: str, w: Writer, x: Value, axes: Axes = None, keepdim: bool = False) -> Value:
    """One ONNX reduction in the recorded type of the result."""
    return reduce(w, kind, cast(w, x, w.out.dtype), all_axes(x, axes), keepdim)


def mean(w: Writer, x: Value, axes: Axes = None, keepdim: bool = False) -> Value:
    """Mean over axes; over all positions of [N, C, *spatial] it is a global pool."""
    x, over = cast(w, x, w.out.dtype), all_axes(x, axes)
    if keepdim and x.rank in (4, 5) and over == list(range(2, x.rank)) and not x.made_by("Transpose"):
        return w.emit("GlobalAveragePool", x)
    return reduce(w, "ReduceMean", x, over, keepdim)


def truth(kind: str, w: Writer, x: Value, axes: Axes = None, keepdim: bool = False) -> Value:
    """any (ReduceMax) and all (ReduceMin) over axes."""
    return reduce(w, kind, cast(w, x, torch.bool), all_axes(x, axes), keepdim)


def extremum(kind: str, w: Writer, x: Value, axis: int, keepdim: bool = False) -> tuple[Value, Value]:
    """The extreme values along one axis, and where they are."""
    (axis,) = all_axes(x, axis)
    if x.rank == 0:
        return x, w.scalar(0, torch.int64)
    return reduce(w, f"Reduce{kind}", x, [axis], keepdim), arg_extremum(w, f"Arg{kind}", x, axis, keepdim)


def arg(kind: str, w: Writer, x: Value, axis: int | None = None, keepdim: bool = False) -> Value:
    """Where the extreme value is, along one axis or in the flattened tensor."""
    if x.rank == 0:
        return w.scalar(0, torch.int64)
    if axis is not None:
        return arg_extremum(w, kind, x, axis % x.rank, keepdim)
    found = arg_extremum(w, kind, reshape(w, x, (_numel(x),)), 0, False)
    return reshape(w, found, w.out.shape)


def _numel(x: Value) -> int | str:
    return math.prod(int(d) for d in x.shape) if x.is_static else "all elements"


def logsumexp(w: Writer, x: Value, axes: Axes, keepdim: bool = False) -> Value:
    """log(sum(exp(x)))."""
    return reduction("ReduceLogSumExp", w, x, axes, keepdim)


def vector_norm(w: Writer, x: Value, order: float = 2, axes: Axes = None, keepdim: bool = False) -> Value:
    """sum(|x| ** order) ** (1 / order) over axes, with the usual limits at 0 and infinity."""
    x, over = cast(w, x, w.out.dtype), all_axes(x, axes)
    named = {1.0: "ReduceL1", 2.0: "ReduceL2"}
    if order in named:
        return reduce(w, named[order], x, over, keepdim)
    magnitude = unary(w, "Abs", x)
    if math.isinf(order):
        return reduce(w, "ReduceMax" if order > 0 else "ReduceMin", magnitude, over, keepdim)
    if order == 0:
        return reduce(w, "ReduceSum", cast(w, compare(w, "Greater", magnitude, 0), x.dtype), over, keepdim)
    powers = w.emit("Pow", magnitude, w.scalar(order, x.dtype), dtype=x.dtype, shape=x.shape)
    return w.emit("Pow", reduce(w, "ReduceSum", powers, over, keepdim), w.scalar(1 / order, x.dtype))


def norm(w: Writer, x: Value, order: float | None = 2, axes: Axes = None, keepdim: bool = False) -> Value:
    """The older name of vector_norm."""
    return vector_norm(w, x, 2 if order is None else order, axes, keepdim)


def variance(w: Writer, x: Value, axes: Axes = None, correction: float | None = None, keepdim: bool = False) -> Value:
    """Mean squared distance from the mean over n - correction elements; no correction given means 1."""
    return _spread(w, x, axes, 1.0 if correction is None else correction, keepdim)[0]


def deviation(w: Writer, x: Value, axes: Axes = None, correction: float | None = None, keepdim: bool = False) -> Value:
    """Square root of the variance."""
    return unary(w, "Sqrt", variance(w, x, axes, correction, keepdim))


def variance_mean(
    w: Writer, x: Value, axes: Axes = None, correction: float | None = None, keepdim: bool = False
) -> tuple[Value, Value]:
    """The variance and the mean."""
    return _spread(w, x, axes, 1.0 if correction is None else correction, keepdim)


def _spread(w: Writer, x: Value, axes: Axes, correction: float, keepdim: bool) -> tuple[Value, Value]:
    over = all_axes(x, axes)
    sizes = [x.shape[a] for a in over]
    if any(isinstance(d, str) for d in sizes) and correction != 0:
        raise Refusal("corrects a variance over an axis of dynamic size")
    center = reduce(w, "ReduceMean", x, over, True)
    distance = binary(w, "Sub", x, center, x.dtype)
    squares = binary(w, "Mul", distance, distance, x.dtype)
    result = reduce(w, "ReduceMean", squares, over, keepdim)
    if correction != 0:
        n = math.prod(int(d) for d in sizes)
        result = binary(w, "Mul", result, n / (n - correction) if n != correction else math.inf, x.dtype)
    return result, center if keepdim else reduce(w, "ReduceMean", x, over, False)


def deviation_mean(
    w: Writer, x: Value, axes: Axes = None, correction: float | None = None, keepdim: bool = False
) -> tuple[Value, Value]:
    """The square root of the variance, and the mean."""
    spread, center = variance_mean(w, x, axes, correction, keepdim)
    return unary(w, "Sqrt", spread), center


def sum_of_numbers(w: Writer, x: Value, axes: Axes = None, keepdim: bool = False) -> Value:
    """nansum: the sum, values that are not numbers left out."""
    x = cast(w, x, w.out.dtype)
    known = where(w, w.emit("IsNaN", x, dtype=torch.bool, shape=x.shape), 0.0, x, x.dtype)
    return reduce(w, "ReduceSum", known, all_axes(x, axes), keepdim)


def distance(w: Writer, a: Value, b: Value, order: float = 2) -> Value:
    """The norm of a difference."""
    return vector_norm(w, binary(w, "Sub", a, b, w.out.dtype), order)


def pairwise_distances(w: Writer, a: Value, b: Value, order: float = 2, mode: Any = None) -> Value:
    """a [..., n, d], b [..., m, d] -> the norm of every difference [..., n, m]."""
    apart = binary(w, "Sub", unsqueeze(w, a, [a.rank - 1]), unsqueeze(w, b, [b.rank - 2]), w.out.dtype)
    return vector_norm(w, apart, order, apart.rank - 1)


def determinant(w: Writer, x: Value) -> tuple[Value | None, ...]:
    """The determinant of square matrices; the factorisation has no ONNX form."""
    return w.emit("Det", x), None, None


def aminmax(w: Writer, x: Value, dim: int | None = None, keepdim: bool = False) -> tuple[Value, Value]:
    """The smallest and the largest value."""
    over = all_axes(x, dim)
    return reduce(w, "ReduceMin", x, over, keepdim), reduce(w, "ReduceMax", x, over, keepdim)


LOWERINGS: dict[Any, Any] = {
    **dict.fromkeys((aten.mean.dim, aten.mean.default), mean),
    **dict.fromkeys((aten.sum.dim_IntList, aten.sum.default), partial(reduction, "ReduceSum")),
    **dict.fromkeys((aten.prod.dim_int, aten.prod.default), partial(reduction, "ReduceProd")),
    **dict.fromkeys((aten.amax.default, aten.max.default), partial(reduction, "ReduceMax")),
    **dict.fromkeys((aten.amin.default, aten.min.default), partial(reduction, "ReduceMin")),
    **dict.fromkeys((aten.any.default, aten.any.dim, aten.any.dims), partial(truth, "ReduceMax")),
    **dict.fromkeys((aten.all.default, aten.all.dim, aten.all.dims), partial(truth, "ReduceMin")),
    **dict.fromkeys((aten.norm.ScalarOpt_dim, aten.norm.Scalar), norm),
    aten.max.dim: partial(extremum, "Max"),
    aten.min.dim: partial(extremum, "Min"),
    aten.argmax.default: partial(arg, "ArgMax"),
    aten.argmin.default: partial(arg, "ArgMin"),
    aten.logsumexp.default: logsumexp,
    aten.linalg_vector_norm.default: vector_norm,
    aten.var.correction: variance,
    aten.std.correction: deviation,
    aten.var_mean.correction: variance_mean,
    aten.aminmax.default: aminmax,
    aten.std_mean.correction: deviation_mean,
    aten.nansum.default: sum_of_numbers,
    aten.dist.default: distance,
    aten._cdist_forward.default: pairwise_distances,
    aten._linalg_det.default: determinant,
}
