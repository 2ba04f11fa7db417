"""Layer norm as means, differences and a root."""

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.edit import Edit
from nascc.passes.substitute.precision import widened
from nascc.passes.substitute.rule import Rule

aten = torch.ops.aten


def _build(edit: Edit, node: Node) -> Node:
    """layer_norm(x, w, b) -> d / sqrt(mean(d ** 2) + eps) * w + b with d = x - mean(x). Equal up to rounding.

    Means over the last `len(normalized_shape)` dimensions; half types are computed in float32. The square is a power
    by a constant tensor: runtimes recognise that form as one layer norm, and a product they do not.
    """
    a = arguments(node)
    x = widened(edit, a["input"])
    rank = len(g.shape(x))
    dims = list(range(rank - len(a["normalized_shape"]), rank))
    distance = edit.call(aten.sub.Tensor, x, edit.call(aten.mean.dim, x, dims, True))
    two = edit.constant(torch.tensor(2.0, dtype=torch.float64), f"{g.label(node)}.exponent", like=x)
    variance = edit.call(aten.mean.dim, edit.call(aten.pow.Tensor_Tensor, distance, two), dims, True)
    deviation = edit.call(aten.sqrt.default, edit.call(aten.add.Tensor, variance, a["eps"]))
    out = edit.call(aten.div.Tensor, distance, deviation)
    if a["weight"] is not None:
        out = edit.call(aten.mul.Tensor, out, a["weight"])
    return out if a["bias"] is None else edit.call(aten.add.Tensor, out, a["bias"])


LAYER_NORM = Rule((aten.layer_norm.default,), _build)
