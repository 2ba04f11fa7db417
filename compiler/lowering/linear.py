"""Matrix products: linear layers, products of values, einsum."""

import math
from collections.abc import Sequence
from typing import Any

import torch

from nascc.compiler.lowering.arithmetic import binary
from nascc.compiler.lowering.dtypes import cast, cast_all
from nascc.compiler.lowering.layout import RESHAPERS, reshape, squeeze, transpose, unsqueeze
from nascc.compiler.lowering.reduction import reduce
from nascc.compiler.lowering.values import Shape, Value, broadcast
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten


def linear(w: Writer, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """x [..., in] * weight [out, in] -> [..., out]: one Gemm over two axes, else MatMul (+ Add, if not 0)."""
    dtype = w.out.dtype
    x, weight = cast(w, x, dtype), cast(w, weight, dtype)
    if bias is not None:
        bias = None if bias.tensor is not None and not bias.tensor.any() else cast(w, bias, dtype)
    if weight.rank == 1:
        return matmul(w, x, weight) if bias is None else binary(w, "Add", matmul(w, x, weight), bias)
    if x.rank == 2 and (bias is not None or weight.tensor is None):
        return w.emit("Gemm", x, weight, bias, shape=(x.shape[0], weight.shape[0]), transB=1)
    if bias is not None and x.made_by(*RESHAPERS) and sum(isinstance(d, str) for d in x.shape[:-1]) < 2:
        return _flattened(w, x, weight, bias)
    product = matmul(w, x, transpose(w, weight, [1, 0]))
    return product if bias is None else binary(w, "Add", product, bias)


def _flattened(w: Writer, x: Value, weight: Value, bias: Value) -> Value:
    """One Gemm between reshapes, which merge with those around them."""
    *leading, size = x.shape
    rows = math.prod(leading) if x.is_static else "rows"
    flat = reshape(w, x, (rows, size))
    result = w.emit("Gemm", flat, weight, bias, shape=(rows, weight.shape[0]), transB=1)
    return reshape(w, result, (*leading, weight.shape[0]))


def matmul(w: Writer, a: Value, b: Value) -> Value:
    """numpy's matrix product, batched over leading axes."""
    a_, b_ = cast_all(w, w.out.dtype, a, b)
    assert a_ is not None and b_ is not None
    return w.emit("MatMul", a_, b_, shape=matmul_shape(a.shape, b.shape))


def matmul_shape(a: Shape, b: Shape) -> Shape:
    """The shape of a product; a vector's axis vanishes."""
    rows = a[-2:-1] if len(a) > 1 else ()
    columns = b[-1:] if len(b) > 1 else ()
    return (*broadcast(a[:-2], b[:-2]), *rows, *columns)


def scaled_sum(w: Writer, base: Value, a: Value, b: Value, *, beta: float = 1, alpha: float = 1) -> Value:
    """beta * base + alpha * (a @ b)."""
    product = matmul(w, a, b)
    if alpha != 1:
        product = binary(w, "Mul", product, alpha, product.dtype)
    if beta != 1:
        base = binary(w, "Mul", base, beta, product.dtype)
    return binary(w, "Add", base, product)


def outer(w: Writer, a: Value, b: Value) -> Value:
    """a [n], b [m] -> [n, m]."""
    return binary(w, "Mul", unsqueeze(w, a, [1]), b)


def einsum(w: Writer, equation: str, operands: Sequence[Value], path: Any = None) -> Value:
    """torch's notation is ONNX's, spaces aside."""
    values = [cast(w, v, w.out.dtype) for v in operands]
    return w.emit("Einsum", *values, equation=equation.replace(" ", ""))


def bilinear(w: Writer, a: Value, b: Value, weight: Value, bias: Value | None = None) -> Value:
    """a [..., i], b [..., j], weight [o, i, j] -> [..., o]."""
    o, i, j = weight.shape
    flat = reshape(w, transpose(w, weight, [1, 0, 2]), (i, int(o) * int(j)))
    middle = reshape(w, matmul(w, a, flat), (*a.shape[:-1], o, j))
    result = squeeze(w, matmul(w, middle, unsqueeze(w, b, [b.rank])), [b.rank])
    return result if bias is None else binary(w, "Add", result, bias)


def trilinear(
    w: Writer,
    a: Value,
    b: Value,
    c: Value,
    expand_a: Sequence[int],
    expand_b: Sequence[int],
    expand_c: Sequence[int],
    sum_axes: Sequence[int],
    unroll: int = 1,
) -> Value:
    """a * b * c with axes of size 1 inserted in each, summed over axes."""
    pairs = ((a, expand_a), (b, expand_b), (c, expand_c))
    a, b, c = (unsqueeze(w, v, list(axes)) for v, axes in pairs)
    product = binary(w, "Mul", binary(w, "Mul", a, b, w.out.dtype), c, w.out.dtype)
    return reduce(w, "ReduceSum", product, list(sum_axes), keepdim=False)


LOWERINGS: dict[Any, Any] = {
    aten.linear.default: linear,
    aten.matmul.default: matmul,
    aten.mm.default: matmul,
    aten.bmm.default: matmul,
    aten.mv.default: matmul,
    aten.dot.default: matmul,
    aten.vdot.default: matmul,
    aten.addmm.default: scaled_sum,
    aten.addmv.default: scaled_sum,
    aten.baddbmm.default: scaled_sum,
    aten.outer.default: outer,
    aten.bilinear.default: bilinear,
    aten._trilinear.default: trilinear,
    aten.einsum.default: einsum,
}
NEEDS = {aten.einsum.default: 12}
