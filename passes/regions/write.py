"""Write a plan back into the graph: kept operators as they were, collapsed ones as new convolutions."""

import operator
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.edit import Edit, absorb
from nascc.passes.linear.convolution import Convolution
from nascc.passes.linear.deploy import ONES_CHANNEL, Deployed
from nascc.passes.linear.emit import Emitter, emit
from nascc.passes.linear.plan import Plan, Segment
from nascc.passes.linear.region import FLATTEN, IDENTITY, Leaf
from nascc.passes.regions.find import NEGATION, Found
from nascc.passes.views import Conv, Linear

aten = torch.ops.aten


class PlanWriter:
    """Emits the calls of one planned region in front of its sink."""

    def __init__(self, found: Found) -> None:
        self.found = found
        self.edit = Edit(found.sink)
        self.collapsed: list[Node] = []

    def write(self, plan: Plan) -> Node:
        """The value that takes the place of the region's output."""
        return emit(plan.root, self.found.source, Emitter(self._leaf, self._deployed, self._joined))

    def _leaf(self, leaf: Leaf, x: Node) -> Node:
        if leaf.name == IDENTITY:
            return x
        if leaf.name == NEGATION:
            return self.edit.call(aten.neg.default, x)
        if leaf.name == FLATTEN:
            return self._flattened(x)
        read = self.found.reads[leaf.name]
        return self._again(read.node, read.input, x)

    def _again(self, node: Node, source: Node, x: Node) -> Node:
        """The same calls as from `source` to `node` on another value, which may have other channels."""
        data = _data_input(node)
        new = x if data is source else self._again(data, source, x)
        if new is data:
            return node
        args = torch.fx.node.map_arg(node.args, lambda n: new if n is data else n)
        return self.edit.call(node.target, *args, like=node, **node.kwargs)  # type: ignore[arg-type]

    def _flattened(self, x: Node) -> Node:
        """An image of known size as vectors; what is one already stays."""
        if len(g.shape(x)) == 2:
            return x
        features = prod(int(n) for n in g.shape(x)[1:])
        return self.edit.call(aten.reshape.default, x, [-1, features])

    def _joined(self, kind: str, values: list[Node]) -> Node:
        if kind == "concat":
            return self.edit.call(aten.cat.default, values, 1)
        total = values[0]
        for value in values[1:]:
            is_difference = g.is_call(value, aten.neg.default) and not value.users
            target, operand = (aten.sub.Tensor, value.args[0]) if is_difference else (aten.add.Tensor, value)
            total = self.edit.call(target, total, operand)
        return total

    # ---- new convolutions --------------------------------------------------------------------------------------

    def _deployed(self, step: Deployed, x: Node, segment: Segment) -> Node:
        reads = [self.found.reads[name] for name in segment.members if name in self.found.reads]
        members = [read.node for read in reads]
        main = next((n for n in members if Conv.of(n) or Linear.of(n)), members[0])
        if step.subtract is not None:
            shape = (1, -1, *[1] * (len(g.shape(x)) - 2))
            value = self._constant(step.subtract.reshape(shape), main, "pad_value")
            x = self.edit.call(aten.sub.Tensor, x, value, like=main)
        if step.fix == ONES_CHANNEL:
            first = self.edit.call(aten.slice.Tensor, x, 1, 0, 1, 1, like=main)
            ones = self.edit.call(aten.full_like.default, first, 1.0, like=main)
            x = self.edit.call(aten.cat.default, [x, ones], 1, like=main)
        y = self._convolve(step, main, x)
        for call in (call for read in reads for call in read.calls):
            absorb(y, g.sources(call))
        self.collapsed.append(y)
        return y if step.addend is None else self._add_border(step, main, y)

    def _convolve(self, step: Deployed, main: Node, x: Node) -> Node:
        conv, x = step.conv, self._flattened(x) if step.flattens else x
        layer = Conv.of(main) or Linear.of(main)
        path = g.label(main)
        names = (layer.weight_name, layer.bias_name) if layer is not None else (f"{path}.weight", f"{path}.bias")
        if conv.rank == 0 and conv.groups > 1:
            return self._grouped_linear(conv, names, main, x)
        weight = self.edit.constant(conv.weight, names[0], like=main)
        bias = None if conv.bias is None else self.edit.constant(conv.bias, names[1], like=main)
        if conv.rank == 0:
            return self.edit.call(aten.linear.default, x, weight, bias, like=main)
        padding = [b for b, _ in conv.padding]
        if not conv.transposed and any(a != b for b, a in conv.padding):
            sides = [s for pair in reversed(conv.padding) for s in pair]
            x, padding = self.edit.call(aten.constant_pad_nd.default, x, sides, 0.0, like=main), [0] * conv.rank
        options = (
            list(conv.stride),
            padding,
            list(conv.dilation),
            conv.transposed,
            list(conv.output_padding),
            conv.groups,
        )
        return self.edit.call(aten.convolution.default, x, weight, bias, *options, like=main)

    def _grouped_linear(self, conv: Convolution, names: tuple[str, str], main: Node, x: Node) -> Node:
        """On vectors there are no groups: one number a channel becomes a product and a sum, blocks become dense."""
        bias = None if conv.bias is None else self.edit.constant(conv.bias, names[1], like=main)
        if conv.groups == conv.c_in == conv.c_out:
            scale = self.edit.constant(conv.weight.reshape(-1), names[0], like=main)
            y = self.edit.call(aten.mul.Tensor, x, scale, like=main)
            return y if bias is None else self.edit.call(aten.add.Tensor, y, bias, like=main)
        blocks: Tensor = torch.block_diag(*conv.weight.chunk(conv.groups))  # type: ignore[no-untyped-call]
        return self.edit.call(aten.linear.default, x, self.edit.constant(blocks, names[0], like=main), bias, like=main)

    def _add_border(self, step: Deployed, main: Node, y: Node) -> Node:
        assert step.addend is not None
        border = self._constant(step.addend.unsqueeze(0), main, "border")
        for axis, ends in enumerate(step.rows, start=2):
            if ends is not None:
                border = self._stretched(border, axis, ends, y)
        return self.edit.call(aten.add.Tensor, y, border, like=main)

    def _stretched(self, tile: Node, axis: int, ends: tuple[int, int], y: Node) -> Node:
        """Repeat the middle row of a tile until the tile is as large as `y` along an axis of unknown size."""
        before, after = ends
        size = self.edit.call(aten.sym_size.int, y, axis)
        count = self.edit.call(operator.sub, size, before + after)
        middle = self.edit.call(aten.slice.Tensor, tile, axis, before, before + 1, 1)
        sizes: list[Any] = [-1] * len(g.shape(tile))
        sizes[axis] = count
        parts = [self.edit.call(aten.expand.default, middle, sizes)]
        if before:
            parts.insert(0, self.edit.call(aten.slice.Tensor, tile, axis, 0, before, 1))
        if after:
            parts.append(self.edit.call(aten.slice.Tensor, tile, axis, before + 1, before + 1 + after, 1))
        return parts[0] if len(parts) == 1 else self.edit.call(aten.cat.default, parts, axis)

    def _constant(self, value: Tensor, main: Node, what: str) -> Node:
        return self.edit.constant(value, f"{g.label(main)}.{what}", like=main)


def _data_input(node: Node) -> Node:
    """The one tensor that a leaf's call reads besides constants; others are sizes."""
    (data,) = [n for n in node.all_input_nodes if not g.is_constant(n) and isinstance(g.value(n), Tensor)]
    return data
