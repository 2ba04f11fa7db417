"""Scaled dot-product attention."""

import math
from typing import Any

import torch

from nascc.compiler.lowering.activation import softmax
from nascc.compiler.lowering.arithmetic import binary, where
from nascc.compiler.lowering.dtypes import cast
from nascc.compiler.lowering.layout import expand, reshape, transpose, unsqueeze
from nascc.compiler.lowering.linear import matmul
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten


def scaled_dot_product_attention(
    w: Writer,
    q: Value,
    k: Value,
    v: Value,
    mask: Value | None = None,
    dropout: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """softmax(q k^T * scale + mask) v; q [..., L, E], k [..., S, E], v [..., S, Ev]."""
    if dropout != 0:
        raise Refusal("drops attention weights at random; put the model in eval mode before export")
    if enable_gqa and q.shape[-3] != k.shape[-3]:
        k, v = _repeat_heads(w, k, q), _repeat_heads(w, v, q)
    q = _scaled(w, q, scale)
    swapped = [*range(k.rank - 2), k.rank - 1, k.rank - 2]
    scores = matmul(w, q, transpose(w, k, swapped))
    for bias in (_additive(w, mask, q.dtype), _causal(w, scores) if is_causal else None):
        if bias is not None:
            scores = binary(w, "Add", scores, bias, q.dtype)
    return matmul(w, softmax(w, scores, -1), v)


def _scaled(w: Writer, q: Value, scale: float | None) -> Value:
    if scale is None:
        size = q.shape[-1]
        if not isinstance(size, int):
            root = w.emit("Sqrt", cast(w, w.size(size, near=q), q.dtype), dtype=q.dtype, shape=(1,))
            return binary(w, "Div", q, root, q.dtype)
        scale = 1 / math.sqrt(size)
    return q if scale == 1 else binary(w, "Mul", q, scale, q.dtype)


def _additive(w: Writer, mask: Value | None, dtype: torch.dtype) -> Value | None:
    """A boolean mask (True takes part) as 0 and -inf; numbers stay."""
    if mask is None or mask.dtype != torch.bool:
        return None if mask is None else cast(w, mask, dtype)
    if mask.tensor is not None:
        hidden = torch.zeros(mask.tensor.shape).masked_fill(~mask.tensor, -math.inf)
        return w.literal(hidden, dtype)
    return where(w, mask, 0.0, -math.inf, dtype)


def _causal(w: Writer, scores: Value) -> Value:
    rows, columns = scores.shape[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise Refusal("masks the future of a sequence of dynamic length; pass the mask as a tensor")
    return w.literal(torch.full((rows, columns), -math.inf).triu(1), scores.dtype)


def _repeat_heads(w: Writer, x: Value, q: Value) -> Value:
    """Each key or value head serves several query heads."""
    *batch, heads, length, size = x.shape
    times = int(q.shape[-3]) // int(heads)
    wide = expand(w, unsqueeze(w, x, [x.rank - 2]), (*batch, heads, times, length, size))
    return reshape(w, wide, (*batch, q.shape[-3], length, size))


LOWERINGS: dict[Any, Any] = {aten.scaled_dot_product_attention.default: scaled_dot_product_attention}
