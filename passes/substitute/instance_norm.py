"""Instance norm, and the group norm that is written as one, as means, differences and a root."""

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.edit import Edit
from nascc.passes.substitute.group_norm import GROUP_NORM
from nascc.passes.substitute.precision import widened
from nascc.passes.substitute.rule import Rule
from nascc.passes.substitute.statistics import normalised, scaled_channels

aten = torch.ops.aten


def _uses_input_statistics(node: Node) -> bool:
    """With running statistics an instance norm is a batch norm, and is written as one."""
    return node.target in GROUP_NORM.targets or bool(arguments(node)["use_input_stats"])


def _refusal(node: Node) -> str | None:
    return GROUP_NORM.refusal(node) if node.target in GROUP_NORM.targets else None


def _build(edit: Edit, node: Node) -> Node:
    """instance_norm(x, w, b) -> d / sqrt(mean(d ** 2) + eps) * w + b with d = x - mean(x). Equal up to rounding.

    Means over all dimensions of x [N, C, ...] behind the second; half types are computed in float32.
    """
    if node.target in GROUP_NORM.targets:
        return GROUP_NORM.build(edit, node)
    a = arguments(node)
    x = widened(edit, a["input"])
    return scaled_channels(edit, normalised(edit, x, range(2, len(g.shape(x))), a["eps"]), a["weight"], a["bias"])


TARGETS = (aten.instance_norm.default, *GROUP_NORM.targets)
INSTANCE_NORM = Rule(TARGETS, _build, _refusal, applies=_uses_input_statistics)
