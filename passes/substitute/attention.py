"""Scaled dot-product attention as two matrix products and a softmax."""

import math

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.edit import Edit
from nascc.passes.substitute.rule import Rule
from nascc.passes.substitute.shapes import text

aten = torch.ops.aten


def _refusal(node: Node) -> str | None:
    a = arguments(node)
    if a["dropout_p"] != 0:
        return "drops attention weights at random; put the model in eval mode before export"
    if a["scale"] is None and not isinstance(g.shape(a["query"])[-1], int):
        return "scales by the root of a dynamic size, must be fixed; pass scale= to the attention"
    lengths = g.shape(a["query"])[-2], g.shape(a["key"])[-2]
    if a["is_causal"] and not all(isinstance(length, int) for length in lengths):
        return f"masks the future of {text(lengths)} positions, must be fixed sizes; pass the mask as a tensor"
    return None


def _build(edit: Edit, node: Node) -> Node:
    """attention(q, k, v, m) -> softmax(scale * q k^T + m) v. Equal up to rounding, NaN where a row of m hides all.

    q [..., L, E], k [..., S, E], v [..., S, V], m [..., L, S]: what is added, or booleans that hide what is False.
    """
    a = arguments(node)
    q, k, v = a["query"], a["key"], a["value"]
    if a["enable_gqa"]:
        k, v = (_repeated(edit, x, q) for x in (k, v))
    scale = 1 / math.sqrt(g.shape(q)[-1]) if a["scale"] is None else a["scale"]
    rank = len(g.shape(k))
    turned = edit.call(aten.permute.default, k, [*range(rank - 2), rank - 1, rank - 2])
    scores = edit.call(aten.matmul.default, edit.call(aten.mul.Tensor, q, scale), turned)
    if (mask := _past(edit, node) if a["is_causal"] else a["attn_mask"]) is not None:
        scores = _masked(edit, scores, mask)
    return edit.call(aten.matmul.default, edit.call(aten.softmax.int, scores, len(g.shape(scores)) - 1), v)


def _repeated(edit: Edit, x: Node, q: Node) -> Node:
    """Each head of keys or values as often as it serves a head of queries."""
    times = int(g.shape(q)[-3]) // int(g.shape(x)[-3])
    return x if times == 1 else edit.call(aten.repeat_interleave.self_int, x, times, len(g.shape(x)) - 3)


def _past(edit: Edit, node: Node) -> Node:
    """[L, S]: True where a position looks at itself or back."""
    rows, columns = (int(g.shape(arguments(node)[name])[-2]) for name in ("query", "key"))
    return edit.constant(torch.ones(rows, columns, dtype=torch.bool).tril(), f"{g.label(node)}.past")


def _masked(edit: Edit, scores: Node, mask: Node) -> Node:
    if g.dtype(mask) is torch.bool:
        return edit.call(aten.where.ScalarOther, mask, scores, -math.inf)
    return edit.call(aten.add.Tensor, scores, mask)


ATTENTION = Rule((aten.scaled_dot_product_attention.default,), _build, _refusal)
