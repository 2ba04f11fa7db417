"""Layer norm as means, differences and a root."""

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.edit import Edit
from nascc.passes.substitute.precision import widened
from nascc.passes.substitute.rule import Rule
from nascc.passes.substitute.shapes import sizes_or_minus_one
from nascc.passes.substitute.statistics import normalised

aten = torch.ops.aten


def _build(edit: Edit, node: Node) -> Node:
    """layer_norm(x, w, b) -> d / sqrt(mean(d ** 2) + eps) * w + b with d = x - mean(x). Equal up to rounding.

    Means over the last `len(normalized_shape)` dimensions; half types are computed in float32. Runtimes recognise one
    layer norm in the very form chosen: the square is a power by a constant tensor, and a permuted x is reshaped to
    [-1, *normalized_shape] and back, lest the permutation be moved behind the means.
    """
    a = arguments(node)
    x, sizes = widened(edit, a["input"]), g.shape(node)
    kept = len(sizes) - len(a["normalized_shape"])
    if is_permuted := g.is_call(a["input"], aten.permute.default) and _is_reshapable(sizes, kept):
        x = edit.call(aten.reshape.default, x, [-1, *sizes[kept:]])
    rank = len(g.shape(x))
    out = normalised(edit, x, range(rank - len(a["normalized_shape"]), rank), a["eps"])
    if a["weight"] is not None:
        out = edit.call(aten.mul.Tensor, out, a["weight"])
    if a["bias"] is not None:
        out = edit.call(aten.add.Tensor, out, a["bias"])
    return edit.call(aten.reshape.default, out, sizes_or_minus_one(sizes)) if is_permuted else out


def _is_reshapable(sizes: tuple[int | torch.SymInt, ...], kept: int) -> bool:
    """Can the first `kept` dimensions be joined and parted again?"""
    return all(isinstance(s, int) for s in sizes[kept:]) and sum(not isinstance(s, int) for s in sizes[:kept]) <= 1


LAYER_NORM = Rule((aten.layer_norm.default,), _build)
