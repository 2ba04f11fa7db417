"""One-hot codes as a comparison with the class numbers."""

import torch
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.base import Numerics
from nascc.passes.edit import Edit
from nascc.passes.substitute.precision import cast_to
from nascc.passes.substitute.rule import Rule

aten = torch.ops.aten


def _build(edit: Edit, node: Node) -> Node:
    """one_hot(x, n) -> int64(x[..., None] == [0, 1, ..., n - 1]). Exact."""
    a = arguments(node)
    numbers = edit.constant(torch.arange(a["num_classes"]), f"{g.label(node)}.classes")
    column = edit.call(aten.unsqueeze.default, a["self"], len(g.shape(a["self"])))
    return cast_to(edit, edit.call(aten.eq.Tensor, column, numbers), torch.int64)


ONE_HOT = Rule((aten.one_hot.default,), _build, numerics=Numerics.BITWISE)
