"""Group norm as means, differences and a root."""

from math import prod

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.edit import Edit
from nascc.passes.substitute.precision import widened
from nascc.passes.substitute.rule import Rule
from nascc.passes.substitute.shapes import sizes_or_minus_one, text
from nascc.passes.substitute.statistics import normalised, scaled_channels

aten = torch.ops.aten


def _refusal(node: Node) -> str | None:
    sizes = g.shape(node)
    if not isinstance(sizes[1], int) or sum(not isinstance(size, int) for size in sizes) > 1:
        return f"normalises {text(sizes)}, must have one dynamic size at most, and fixed channels"
    return None


def _build(edit: Edit, node: Node) -> Node:
    """group_norm(x, n, w, b) -> d / sqrt(mean(d ** 2) + eps) * w + b with d = x - mean(x). Equal up to rounding.

    Means over each of the n groups of x [N, C, ...], as [N, n, -1]; half types are computed in float32.
    """
    a = arguments(node)
    x, sizes = widened(edit, a["input"]), g.shape(node)
    samples, groups = sizes_or_minus_one(sizes[:1])[0], a["num_groups"]
    rest = prod(int(size) for size in sizes[1:]) // groups if samples == -1 else -1
    flat = edit.call(aten.reshape.default, x, [samples, groups, rest])
    whole = edit.call(aten.reshape.default, normalised(edit, flat, [2], a["eps"]), sizes_or_minus_one(sizes))
    return scaled_channels(edit, whole, a["weight"], a["bias"])


GROUP_NORM = Rule((aten.group_norm.default,), _build, _refusal)
