"""Activations on their way to the identity: what training leaves where a network is to become linear."""

from dataclasses import dataclass

import torch
from torch.fx import Node

from nascc.passes import graph as g

aten = torch.ops.aten


@dataclass(frozen=True)
class Blend:
    """act(x) + slope * (x - act(x)): linear at slope 1 only."""

    node: Node
    slope: float

    @property
    def reason(self) -> str:
        """Why a region of linear operators ends here."""
        advice = "put an identity in its place" if self.slope == 1 else "train it until then, and put an identity there"
        return (
            f"'{g.label(self.node)}' is an activation blended with the identity, slope {self.slope:.4g}, "
            f"and linear only at slope 1; {advice}"
        )


def blend(node: Node) -> Blend | None:
    """The blend that ends at `node`, an addition; None for anything else."""
    if not g.is_call(node, aten.add.Tensor) or node.kwargs or len(node.args) != 2:
        return None
    for activated, scaled in (node.args, node.args[::-1]):
        if (found := _scaled_rest(activated, scaled)) is not None:
            return Blend(node, found)
    return None


def _scaled_rest(activated: object, scaled: object) -> float | None:
    """The slope where `scaled` is slope * (x - activated), and `activated` an activation of the same x."""
    if not isinstance(activated, Node) or not g.is_call(activated) or not g.is_call(scaled, aten.mul.Tensor):
        return None
    assert isinstance(scaled, Node)
    for rest, factor in (scaled.args, scaled.args[::-1]):
        if (slope := _number(factor)) is not None and g.is_call(rest, aten.sub.Tensor):
            assert isinstance(rest, Node)
            if rest.args[1] is activated and rest.args[0] in activated.all_input_nodes and not rest.kwargs:
                return slope
    return None


def _number(value: object) -> float | None:
    """A number, or a constant that holds a single one."""
    if isinstance(value, Node):
        return float(held) if g.is_constant(value) and (held := g.constant(value)).numel() == 1 else None
    return float(value) if isinstance(value, int | float) else None
