"""Writes a graph anew with only the channels and taps that must exist."""

from typing import Any

import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import Decision, Rewrite
from nascc.passes.channels.crop import Crop, crop_of, zero_shells
from nascc.passes.channels.demand import Demand
from nascc.passes.channels.folded import Folded, folded
from nascc.passes.channels.pointwise import NEUTRAL, aligned
from nascc.passes.channels.shrunk_arguments import ARGUMENTS
from nascc.passes.edit import Edit
from nascc.passes.linear.threads import pinned
from nascc.passes.views import Conv

aten = torch.ops.aten


Layers = dict[Node, tuple[Folded, Crop | None]]
"""What becomes of convolutions and linear layers that lose something."""


@pinned
def shrink(gm: fx.GraphModule, demand: Demand, layers: Layers) -> tuple[Rewrite, ...]:
    """Rebuild every call that loses channels, operands or taps, in place; says which layers and sums changed."""
    return Shrinking(gm, demand, layers).run()


@pinned
def smaller_layers(demand: Demand) -> Layers:
    """Every layer that loses channels or taps."""
    found = ((node, _smaller(node, demand)) for node in demand.analysis.nodes)
    return {node: layer for node, layer in found if layer is not None}


def _smaller(node: Node, demand: Demand) -> tuple[Folded, Crop | None] | None:
    """What becomes of a layer that must exist: None where it stays as it is."""
    mixer = demand.analysis.steps[node].mixer
    if mixer is None or not demand.exists(node):
        return None
    is_whole = bool(demand.needed[node].all()) and bool(demand.needed[mixer.layer.input].all())
    conv = mixer.layer if isinstance(mixer.layer, Conv) else None
    if is_whole and (conv is None or not conv.kernel or not any(map(any, zero_shells(conv.weight)))):
        return None
    new = folded(node, mixer, demand)
    crop = None if conv is None else crop_of(conv, new.weight)
    return None if is_whole and crop is None else (new, crop)


def described(layers: Layers) -> tuple[Decision, ...]:
    """What layers lose, in words."""
    return tuple(_described(node, *layer) for node, layer in layers.items())


def _described(node: Node, layer: Folded, crop: Crop | None) -> Decision:
    weight = layer.weight if crop is None else crop.apply(layer.weight)
    sizes = ("x".join(map(str, w)) for w in (g.shape(node.all_input_nodes[1]), weight.shape))
    return Decision(g.module_path(node), f"weight {' -> '.join(sizes)}")


class Shrinking:
    """One run: what stands for each old value by now, and the constants made so far."""

    def __init__(self, gm: fx.GraphModule, demand: Demand, layers: Layers) -> None:
        self.gm, self.demand, self.steps, self.layers = gm, demand, demand.analysis.steps, layers
        self.new: dict[Node, Node] = {}
        self.known = set(demand.analysis.nodes)
        self.made: dict[Any, Node] = {}
        self.rewrites: list[Rewrite] = []

    def run(self) -> tuple[Rewrite, ...]:
        for node in self.demand.analysis.nodes:
            if node.op == "output" or (node.op == "call_function" and self.demand.exists(node)):
                self._rebuild(node)
        return tuple(self.rewrites)

    def stands_for(self, node: Node) -> Node:
        """What stands for an old value by now."""
        return self.new.get(node, node)

    def _rebuild(self, node: Node) -> None:
        if node in self.layers:
            self._finish(node, self._layer(node, *self.layers[node]))
        elif self._loses(node):
            self._finish(node, self._call(node))
        else:
            for operand in node.all_input_nodes:
                if (new := self.stands_for(operand)) is not operand:
                    node.replace_input_with(operand, new)

    def _loses(self, node: Node) -> bool:
        """Does a call that only moves or maps channels lose some, or an operand?"""
        if self.steps[node].links is None or node.op != "call_function":
            return False
        inactive = not all(self.demand.active.get(node, [True]))
        values = (node, *(link.operand for link in self.steps[node].links or ()))
        return inactive or not all(bool(self.demand.needed[n].all()) for n in values)

    def _finish(self, node: Node, new: Node) -> None:
        if new not in self.known:
            new.meta["dtype"] = node.meta["dtype"]
        self.new[node] = new
        self.known.add(new)
        if self.steps[node].mixer is not None or not all(self.demand.active.get(node, [True])):
            self.rewrites.append(Rewrite(new.name, g.sources(node)))

    def _layer(self, node: Node, layer: Folded, crop: Crop | None) -> Node:
        mixer = self.steps[node].mixer
        assert mixer is not None, "only layers have weights"
        edit, old = Edit(node), mixer.layer
        weight = layer.weight if crop is None else crop.apply(layer.weight)
        x = self.stands_for(old.input)
        if crop is not None:
            x = _cut(edit, x, crop)
        w = self.constant(edit, weight, old.weight_name, old.weight_node)
        b = None if layer.bias is None else self.constant(edit, layer.bias, old.bias_name, old.weight_node)
        if not isinstance(old, Conv):
            return edit.call(old.TARGET, x, w, b)
        padding = old.padding if crop is None else list(crop.padding)
        fields = (old.stride, padding, old.dilation, old.transposed, old.output_padding, layer.groups)
        return edit.call(old.TARGET, x, w, b, *fields)

    def constant(self, edit: Edit, value: Tensor, name: str, like: Node) -> Node:
        """A constant under a name; what is asked for twice (a weight that layers share) is made once."""
        key = (like.target, name, tuple(value.shape), value.numpy(force=True).tobytes())
        if key not in self.made:
            self.made[key] = edit.constant(value, name, like=like)
        return self.made[key]

    def _call(self, node: Node) -> Node:
        """The same call on what is left of its operands."""
        special = ARGUMENTS.get(node.target)
        edit = Edit(node)
        if special is not None:
            return special(self, edit, node)
        operands = {n: self._operand(edit, node, n) for n in node.all_input_nodes}
        if (kept := self._neutral(node, operands)) is not None:
            return kept
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), operands.__getitem__)
        return edit.call(node.target, *args, **kwargs)  # type: ignore[arg-type]

    def _operand(self, edit: Edit, node: Node, operand: Node) -> Node:
        """What an operand of a pointwise call has become: itself, or the numbers it always has."""
        layout = self.steps[node].facts.layout
        if g.is_constant(operand):
            return self.narrowed(edit, operand, g.constant(operand), node)
        links = self.steps[node].links or ()
        active = self.demand.active.get(node, [True] * len(links))
        if any(link.operand is operand and carries for link, carries in zip(links, active, strict=True)):
            return self.stands_for(operand)
        facts = self.demand.analysis.facts(operand)
        numbers = facts.value.reshape(aligned(facts.layout, len(layout)))
        return self.narrowed(edit, operand, numbers, node, f"{g.label(operand)}.constant")

    def narrowed(self, edit: Edit, like: Node, value: Tensor, node: Node, name: str | None = None) -> Node:
        """A constant operand with the channels that are left of a call, axis by axis from the last."""
        layout, rank = self.steps[node].facts.layout, len(self.steps[node].facts.layout)
        narrow = value
        for axis in range(rank - value.ndim, rank):
            dim = axis - rank + value.ndim
            if layout[axis] > 1 and value.shape[dim] == layout[axis]:
                narrow = narrow.index_select(dim, self.demand.kept(node, axis))
        if narrow.shape == value.shape and name is None:
            return like
        return self.constant(edit, narrow, name or str(like.target), like)

    def _neutral(self, node: Node, operands: dict[Node, Node]) -> Node | None:
        """x, for x + 0 and x * 1 where the neutral numbers are those of an operand that has become constant."""
        neutral = NEUTRAL.get(node.target)
        if neutral is None or node.kwargs or len(node.args) != 2 or node.args[0] is node.args[1]:
            return None
        for k, wanted in enumerate(neutral):
            x, other = node.args[1 - k], node.args[k]
            if wanted is None or not isinstance(x, Node) or not isinstance(other, Node) or g.is_constant(other):
                continue
            made = operands[other]
            is_neutral = (
                made is not self.new.get(other) and g.is_constant(made) and bool((g.constant(made) == wanted).all())
            )
            if is_neutral and g.dtype(x) == g.dtype(node):
                return operands[x]
        return None


def _cut(edit: Edit, x: Node, crop: Crop) -> Node:
    for dim, window in enumerate(crop.window, start=2):
        if window is not None:
            x = edit.call(aten.slice.Tensor, x, dim, *window, 1)
    return x
