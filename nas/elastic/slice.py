"""Builds the physically small network of some widths and kernels, call by call, from the one it is a part of."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.nas.elastic.bypass import alive, bypassed, kept_filters
from nascc.nas.elastic.layer import Layer
from nascc.nas.elastic.layout import Layout
from nascc.nas.elastic.roles import SHAPED, Role, is_pointwise, run_length
from nascc.passes import graph as g

aten = torch.ops.aten
END = torch.iinfo(torch.int64).max


class Widths(Protocol):
    """Filters and kernel size of every layer of a layout."""

    @property
    def filters(self) -> tuple[int, ...]: ...

    @property
    def kernels(self) -> tuple[int, ...]: ...


class Sliced:
    """One small network. It follows the rules that the masked one keeps (`ElasticNet`), written down a second time.

    `channels` says of every value of the large graph how many of its numbers on axis 1 are left.
    """

    def __init__(self, large: fx.GraphModule, layout: Layout, widths: Widths, *, empty: bool = False) -> None:
        """`empty` builds a network without numbers, of known shapes, which is fast and enough for costs."""
        self.large, self.layout, self.widths, self.empty = large, layout, widths, empty
        self.new: dict[Node, Node] = {}
        self.channels: dict[Node, int] = {}
        self.named = {node.name: node for node in large.graph.nodes}
        self.calls = {layer.call: k for k, layer in enumerate(layout.layers)}
        self.norms = {layer.norm: k for k, layer in enumerate(layout.layers) if layer.norm}
        self.ends = {layer.end: k for k, layer in enumerate(layout.layers)}
        self.out = fx.GraphModule(torch.nn.Module(), fx.Graph())
        self.out.meta = dict(large.meta)
        self.made: dict[tuple[str, tuple[int, ...]], Node] = {}

    def graph(self) -> fx.GraphModule:
        """The network in the IR, for as many images as the large one was captured with."""
        for node in self.large.graph.nodes:
            self._visit(node)
        for node in reversed(self.out.graph.nodes):
            if not node.users and node.op in ("call_function", "get_attr"):
                self.out.graph.erase_node(node)
        if self.empty:
            return self.out
        for name in g.unused_constants(self.out):
            g.delete_constant(self.out, name)
        self.out.recompile()
        return self.out

    def filters(self, index: int) -> int:
        """M of a layer as it counts here: depthwise ones are clipped, gates fitted to what they scale."""
        layer = self.layout.layers[index]
        if (scaled := self.layout.trims.get(layer.call)) is not None:
            return self.channels[self.named[scaled]]
        inputs = self.channels[self.named[layer.source]]
        return kept_filters(self.widths.filters[index], layer.depthwise, inputs)

    def _visit(self, node: Node) -> None:
        role = self.layout.roles[node.name]
        if role is Role.CONSTANT:
            return
        if role is Role.INPUT:
            self._put(node, self.out.graph.node_copy(node), int(g.shape(node)[1]))
        elif role is Role.OUTPUT:
            self.out.graph.output(fx.node.map_arg(node.args[0], self.new.__getitem__)).meta = dict(node.meta)
        elif node.name in self.calls:
            self._layer(node, self.calls[node.name])
        elif node.name in self.norms:
            self._norm(node, self.norms[node.name])
        else:
            VISITS.get(role, Sliced._keep)(self, node)
        if (index := self.ends.get(node.name)) is not None:
            self._bypass(node, index)

    def _layer(self, node: Node, index: int) -> None:
        layer, filters = self.layout.layers[index], self.filters(index)
        source = self.named[layer.source]
        inputs, x = self.channels[source], self.new[source]
        if filters == 0:
            self._put(node, x, 0)
            return
        if layer.depthwise:
            x, inputs = self._first(x, filters, node), 1
        _, weight, bias, *options = (*node.args, None)[: max(3, len(node.args))]
        taken = self._constant(_constant(weight), (filters, inputs), layer, self.widths.kernels[index])
        more = None if bias is None else self._constant(_constant(bias), (filters,))
        args: list[Any] = [x, taken, more, *options]
        if layer.kind != "linear":
            margin = (layer.kernels[0] - self.widths.kernels[index]) // 2
            args[4] = [p - margin * d for p, d in zip(args[4], args[5], strict=True)]
            args[8] = filters if layer.depthwise else args[8]
        self._put(node, self._call(node, node.target, tuple(args), self._like(node, filters)), filters)

    def _norm(self, node: Node, index: int) -> None:
        filters, x = self.filters(index), node.all_input_nodes[0]
        if filters == 0:
            self._put(node, self.new[x], 0)
            return
        held = [None if a is None else self._constant(_constant(a), (filters,)) for a in node.args[1:5]]
        args = (self.new[x], *held, *node.args[5:])
        self._put(node, self._call(node, node.target, args, self._like(node, filters)), filters)

    def _bypass(self, node: Node, index: int) -> None:
        """Filters that are gone let their input channels by."""
        layer, filters = self.layout.layers[index], self.filters(index)
        if layer.fixed:
            return
        source = self.named[layer.source]
        inputs, x = self.channels[source], self.new[source]
        most = bypassed(inputs, layer.threshold, layer.filters)
        if filters >= most:
            return
        for dim, step in enumerate(layer.stride, 2):
            if step > 1:
                x = self._cut(x, dim, 0, END, step, node)
        total = alive(inputs, layer.threshold, layer.filters, filters)
        if filters == 0:
            self._put(node, self._first(x, total, node), total)
            return
        parts = [self.new[node], self._cut(x, 1, filters, total, 1, node)]
        self._put(node, self._call(node, aten.cat.default, (parts, 1), self._like(node, total)), total)

    def _sum(self, node: Node) -> None:
        """Of a zero-padded prefix and another; a branch all of whose layers are gone is no part of it."""
        operands = [n for n in node.args[:2] if isinstance(n, Node)]
        gone = self.dropped(node.name)
        sizes = [self.channels[n] for n in operands]
        if any(gone):
            stays = gone.index(False)
            self._put(node, self._scaled(node, operands[stays], _factor(node, stays)), sizes[stays])
            return
        total = max(sizes)
        self._put(node, self._joined(node, [self._padded(self.new[n], total, node) for n in operands], total), total)

    def _scaled(self, node: Node, x: Node, factor: float) -> Node:
        """What is left of a sum whose other side is gone."""
        if factor == 1:
            return self.new[x]
        return self._call(node, aten.mul.Tensor, (self.new[x], factor), self._like(node, self.channels[x]))

    def dropped(self, name: str) -> list[bool]:
        """Which side of a sum is gone; where both are, the one with fewer layers stays."""
        sides = self.layout.branches[name]
        gone = [bool(side) and all(self.filters(k) == 0 for k in side) for side in sides]
        if all(gone):
            gone[0 if len(sides[0]) < len(sides[1]) else 1] = False
        return gone

    def _product(self, node: Node) -> None:
        operands = [n for n in node.args[:2] if isinstance(n, Node)]
        total = min(self.channels[n] for n in operands)
        self._put(node, self._joined(node, [self._first(self.new[n], total, node) for n in operands], total), total)

    def _joined(self, node: Node, operands: list[Node], total: int) -> Node:
        args = (*operands, *node.args[2:])
        return self._call(node, node.target, args, self._like(node, total), dict(node.kwargs))

    def _flatten(self, node: Node) -> None:
        source = node.all_input_nodes[0]
        total = self.channels[source] * run_length(node)
        args = (self.new[source], *node.args[1:])
        if node.target in SHAPED:
            sizes: Any = node.args[1]
            args = (args[0], [sizes[0], total, *sizes[2:]])
        self._put(node, self._call(node, node.target, args, self._like(node, total)), total)

    def _keep(self, node: Node) -> None:
        source = next(n for n in node.all_input_nodes if n.op != "get_attr")
        total = self.channels[source]
        if total == 0 and is_pointwise(node):
            self._put(node, self.new[source], 0)
            return
        self._put(node, self._copied(node, total), total)

    def _whole(self, node: Node) -> None:
        """A call that is not understood, with whole inputs."""
        value = node.meta.get("val")
        channels = int(value.shape[1]) if isinstance(value, Tensor) and value.ndim > 1 else 0
        self._put(node, self._copied(node, None), channels)

    def _copied(self, node: Node, total: int | None) -> Node:
        def operand(n: Node) -> Node:
            return self._constant(n, tuple(g.constant(n).shape)) if n.op == "get_attr" else self.new[n]

        args, kwargs = fx.node.map_arg((node.args, node.kwargs), operand)
        shape = None if total is None else self._like(node, total)
        return self._call(node, node.target, args, shape, kwargs)

    def _like(self, node: Node, channels: int) -> list[int]:
        """The shape of a value of the large graph with other channels."""
        shape = [int(s) for s in g.shape(node)]
        return [shape[0], channels, *shape[2:]]

    def _call(
        self,
        at: Node,
        target: Any,
        args: tuple[Any, ...],
        shape: list[int] | None,
        kwargs: dict[str, Any] | None = None,
    ) -> Node:
        """A call with the provenance of a node of the large graph; its value is that node's, or has another shape."""
        new = self.out.graph.call_function(target, args, kwargs or {})
        new.meta = dict(at.meta)
        if shape is not None:
            new.meta["val"] = self._value(at, shape)
        return new

    def _value(self, at: Node, shape: Sequence[int]) -> Tensor:
        value: Tensor = at.meta["val"]
        return torch.empty(shape, dtype=value.dtype, device="meta") if self.empty else value.new_empty(shape)

    def _cut(self, x: Node, dim: int, start: int, stop: int, step: int, at: Node) -> Node:
        """x[..., start:stop:step, ...] along a dimension."""
        shape = [int(s) for s in g.shape(x)]
        shape[dim] = -(-(min(stop, shape[dim]) - start) // step)
        return self._call(at, aten.slice.Tensor, (x, dim, start, stop, step), shape)

    def _first(self, x: Node, wanted: int, at: Node) -> Node:
        """The first channels of a value."""
        return x if int(g.shape(x)[1]) == wanted else self._cut(x, 1, 0, wanted, 1, at)

    def _padded(self, x: Node, wanted: int, at: Node) -> Node:
        shape = [int(s) for s in g.shape(x)]
        if shape[1] == wanted:
            return x
        pad = [0, 0] * (len(shape) - 2) + [0, wanted - shape[1]]
        return self._call(at, aten.constant_pad_nd.default, (x, pad), [shape[0], wanted, *shape[2:]])

    def _put(self, node: Node, new: Node, channels: int) -> None:
        self.new[node], self.channels[node] = new, channels

    def _constant(self, node: Node, sizes: tuple[int, ...], layer: Layer | None = None, kernel: int = 0) -> Node:
        """The first numbers along each axis; of a kernel its centre."""
        key = (str(node.target), (*sizes, kernel))
        if key in self.made:
            return self.made[key]
        value = g.get_constant(self.large, str(node.target))
        for axis, size in enumerate(sizes):
            value = value.narrow(axis, 0, size)
        if layer is not None and layer.kernels and kernel != layer.kernels[0]:
            margin = (layer.kernels[0] - kernel) // 2
            value = value[:, :, margin : margin + kernel, margin : margin + kernel]
        return self._held(node, key, value)

    def _held(self, node: Node, key: tuple[str, tuple[int, ...]], value: Tensor) -> Node:
        name = str(node.target)
        if not self.empty:
            name = g.free_name(self.out, name)
            g.set_constant(self.out, name, value.detach().clone())
        new = self.out.graph.create_node("get_attr", name)
        new.meta = dict(node.meta) | {"val": self._value(node, value.shape)}
        self.made[key] = new
        return new


def _factor(total: Node, side: int) -> float:
    """What a side of a sum or difference is multiplied by."""
    alpha: Any = total.kwargs.get("alpha", 1)
    return float(alpha) * (-1 if total.target is aten.sub.Tensor else 1) if side else 1.0


def _constant(argument: Any) -> Node:
    """An operand that holds numbers of the network."""
    assert isinstance(argument, Node) and argument.op == "get_attr", "layers own their numbers"
    return argument


VISITS: dict[Role, Callable[[Sliced, Node], None]] = {
    Role.SUM: Sliced._sum,
    Role.PRODUCT: Sliced._product,
    Role.FLATTEN: Sliced._flatten,
    Role.OPAQUE: Sliced._whole,
    Role.NORM: Sliced._keep,
}
