"""Reading and writing by tensors of indices."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from nascc.compiler.lowering.arithmetic import binary, where
from nascc.compiler.lowering.dtypes import Operand, cast, operand
from nascc.compiler.lowering.layout import expand, reshape, transpose, unsqueeze
from nascc.compiler.lowering.pieces import concat, gather
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Dim, Shape, Value, broadcast
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten


def index(w: Writer, x: Value, indices: Sequence[Value | None]) -> Value:
    """x[indices]: None keeps an axis. One index is a Gather; several become one flat index, or a GatherND."""
    indices = [part for v in indices for part in _unmasked(w, v)]
    named = [axis for axis, v in enumerate(indices) if v is not None]
    found = [v for v in indices if v is not None]
    if any(v.dtype in (torch.bool, torch.uint8) for v in found):
        raise Refusal("selects by a mask, so the shape of the result depends on the data")
    if len(found) == 1:
        return gather(w, x, _as_index(w, found[0], x.shape[named[0]]), named[0])
    adjacent = named == list(range(named[0], named[0] + len(named)))
    if not adjacent:
        rest = [a for a in range(x.rank) if a not in named]
        x, named = transpose(w, x, named + rest), list(range(len(named)))
    sizes = x.shape[named[0] : named[-1] + 1]
    if all(v.tensor is not None for v in found) and all(isinstance(d, int) for d in sizes):
        return _flat_gather(w, x, [v.tensor for v in found if v.tensor is not None], named[0], [int(d) for d in sizes])
    return _gather_nd(w, x, [_as_index(w, v) for v in found], named[0])


def _unmasked(w: Writer, x: Value | None) -> list[Value | None]:
    """A constant mask as the places where it holds, one index for each of its axes."""
    if x is None or x.tensor is None or x.dtype != torch.bool:
        return [x]
    return [w.literal(places, torch.int64) for places in x.tensor.nonzero(as_tuple=True)]


def _as_index(w: Writer, x: Value, size: Dim = "") -> Value:
    """An index in a type that ONNX takes; constant places in an axis of known size are counted from the front."""
    if x.tensor is not None and isinstance(size, int):
        return w.literal(torch.remainder(x.tensor.to(torch.int64), size), torch.int64)
    return x if x.dtype == torch.int32 else cast(w, x, torch.int64)


def _flat_gather(w: Writer, x: Value, indices: Sequence[torch.Tensor], axis: int, sizes: Sequence[int]) -> Value:
    """Constant indices into neighbouring axes: the axes flattened, one Gather."""
    flat = torch.zeros((), dtype=torch.int64)
    for at, size in zip(indices, sizes, strict=True):
        flat = flat * size + torch.remainder(at.to(torch.int64), size)
    merged = reshape(w, x, (*x.shape[:axis], math.prod(sizes), *x.shape[axis + len(sizes) :]))
    return gather(w, merged, w.literal(flat, torch.int64), axis)


def _gather_nd(w: Writer, x: Value, indices: Sequence[Value], axis: int) -> Value:
    """Computed indices into neighbouring axes, which move to the front and their result back."""
    n = len(indices)
    front = [*range(axis, axis + n), *range(axis), *range(axis + n, x.rank)]
    rows, shape = _rows(w, indices)
    moved = transpose(w, x, front)
    result = w.emit("GatherND", moved, rows, dtype=x.dtype, shape=(*shape, *moved.shape[n:]))
    k = len(shape)
    return transpose(w, result, [*range(k, k + axis), *range(k), *range(k + axis, result.rank)])


def _rows(w: Writer, indices: Sequence[Value]) -> tuple[Value, Shape]:
    """Indices broadcast against each other and stacked along a last axis, and their common shape."""
    shape: Shape = ()
    for v in indices:
        shape = broadcast(shape, v.shape)
    columns = [cast(w, unsqueeze(w, expand(w, v, shape), [len(shape)]), torch.int64) for v in indices]
    return concat(w, columns, len(shape), (*shape, len(indices))), shape


def index_put(w: Writer, x: Value, indices: Sequence[Value | None], values: Value, accumulate: bool = False) -> Value:
    """x with x[indices] replaced by the values; a mask with one value is a choice."""
    found = [v for v in indices if v is not None]
    if len(found) == 1 and found[0].dtype == torch.bool:
        if math.prod(d if isinstance(d, int) else 2 for d in values.shape) != 1 or indices[0] is None or accumulate:
            raise Refusal("writes several values through a mask")
        mask = unsqueeze(w, found[0], list(range(found[0].rank, x.rank)))
        return where(w, mask, reshape(w, values, ()), x, x.dtype)
    if indices[: len(found)] != found:
        raise Refusal("writes through indices that leave leading axes free")
    if accumulate and w.opset < 16:
        raise Refusal("adds into a tensor by index, which ONNX has from opset 16 on")
    rows, shape = _rows(w, [_as_index(w, v) for v in found])
    updates = expand(w, cast(w, values, x.dtype), (*shape, *x.shape[len(found) :]))
    reduction: dict[str, Any] = {"reduction": "add"} if accumulate else {}
    return w.emit("ScatterND", x, rows, updates, dtype=x.dtype, **reduction)


def index_select(w: Writer, x: Value, dim: int, at: Value) -> Value:
    """Places along one axis."""
    return gather(w, x, _as_index(w, at, x.shape[dim]), dim % x.rank)


def embedding(w: Writer, weight: Value, at: Value, *details: Any) -> Value:
    """Rows of a table [n, d]."""
    return gather(w, weight, _as_index(w, at), 0)


def gather_elements(w: Writer, x: Value, dim: int, at: Value, sparse_grad: bool = False) -> Value:
    """result[i][j] = x[at[i][j]][j] for axis 0."""
    axis = dim % x.rank
    return w.emit("GatherElements", x, _as_index(w, at), dtype=x.dtype, shape=at.shape, axis=axis)


def take_along_dim(w: Writer, x: Value, at: Value, dim: int | None = None) -> Value:
    """gather with the other axes broadcast; without an axis both are read as one row."""
    if dim is None:
        x, at = (reshape(w, v, (math.prod(int(d) for d in v.shape),)) for v in (x, at))
    axis = 0 if dim is None else dim % x.rank
    shapes = [(*v.shape[:axis], 1, *v.shape[axis + 1 :]) for v in (x, at)]
    common = broadcast(*shapes)
    x, at = (expand(w, v, (*common[:axis], v.shape[axis], *common[axis + 1 :])) for v in (x, at))
    return gather_elements(w, x, axis, at)


def scatter(w: Writer, x: Value, dim: int, at: Value, source: Operand) -> Value:
    """x with x[at[i][j]][j] = source[i][j] for axis 0."""
    if not isinstance(source, Value):
        source = expand(w, operand(w, source, x.dtype), at.shape)
    return w.emit("ScatterElements", x, _as_index(w, at), _fitting(w, source, at), dtype=x.dtype, axis=dim % x.rank)


def scatter_add(w: Writer, x: Value, dim: int, at: Value, source: Value) -> Value:
    """x with source[i][j] added at x[at[i][j]][j] for axis 0."""
    source = _fitting(w, source, at)
    return w.emit("ScatterElements", x, _as_index(w, at), source, dtype=x.dtype, axis=dim % x.rank, reduction="add")


def scatter_reduce(
    w: Writer, x: Value, dim: int, at: Value, source: Value, kind: str, include_self: bool = True
) -> Value:
    """x with source[i][j] combined into x[at[i][j]][j] for axis 0."""
    if kind not in SCATTERS or not include_self:
        raise Refusal(f"scatters by '{kind}' without the values that are there")
    name, lowest = SCATTERS[kind]
    if w.opset < lowest:
        raise Refusal(f"scatters by '{kind}', which ONNX has from opset {lowest} on")
    source = _fitting(w, source, at)
    return w.emit("ScatterElements", x, _as_index(w, at), source, dtype=x.dtype, axis=dim % x.rank, reduction=name)


def _fitting(w: Writer, source: Value, at: Value) -> Value:
    if source.shape != at.shape:
        raise Refusal("scatters from a tensor larger than its index")
    return source


def one_hot(w: Writer, at: Value, classes: int = -1) -> Value:
    """A new last axis with 1 at each index."""
    if classes < 0:
        raise Refusal("counts the classes of one_hot in the data; pass num_classes")
    depth, pair = w.ints([classes]), w.ints([0, 1])
    return w.emit("OneHot", at, depth, pair, dtype=torch.int64, axis=-1)


def cross(w: Writer, a: Value, b: Value, *, dim: int = -1) -> Value:
    """The product of vectors of three that is perpendicular to both."""
    axis, dtype = dim % a.rank, w.out.dtype
    orders = [w.ints([1, 2, 0]), w.ints([2, 0, 1])]
    (a1, a2), (b1, b2) = ([gather(w, v, order, axis) for order in orders] for v in (a, b))
    return binary(w, "Sub", binary(w, "Mul", a1, b2, dtype), binary(w, "Mul", a2, b1, dtype), dtype)


SCATTERS = {"sum": ("add", 16), "prod": ("mul", 16), "amax": ("max", 18), "amin": ("min", 18)}
LOWERINGS: dict[Any, Any] = {
    aten.index.Tensor: index,
    aten._unsafe_index.Tensor: index,
    aten.index_put.default: index_put,
    aten._unsafe_index_put.default: index_put,
    aten.scatter_reduce.two: scatter_reduce,
    aten.index_select.default: index_select,
    aten.embedding.default: embedding,
    aten.gather.default: gather_elements,
    aten.take_along_dim.default: take_along_dim,
    aten.scatter.src: scatter,
    aten.scatter.value: scatter,
    aten.scatter_add.default: scatter_add,
    aten.one_hot.default: one_hot,
    aten.linalg_cross.default: cross,
}
NEEDS = {aten.scatter_add.default: 16}
