"""The supernet of NetAdaptV2: the initial network, of which every image may run another sub-network."""

from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx import Node

from nascc.nas.core import Arch, Sel, SuperNet, check_selection
from nascc.nas.elastic.bypass import bypassed
from nascc.nas.elastic.join import join
from nascc.nas.elastic.layer import Layer
from nascc.nas.elastic.layout import Layout
from nascc.nas.elastic.masked import Masks, Picked, masks_of, picked, removed
from nascc.nas.elastic.roles import Role, run_length
from nascc.nas.elastic.space import ElasticSpace
from nascc.nas.elastic.trainable import trainable
from nascc.nas.errors import SearchError
from nascc.nas.regions.norms import constants_of
from nascc.passes import graph as g


class ElasticNet(SuperNet):
    """The initial network of a space, with masks behind the activation of every layer (Sec. 3.1 and 3.2).

    y = m act(bn(conv(x))) + (1 - m) x on the channels that a bypass may carry; residual sums are of zero-padded
    prefixes, and a branch whose layers have all lost all their filters adds nothing. `extract` gives the physically
    small network. Coefficients [S, C] mix widths and kernels.
    """

    def __init__(self, space: ElasticSpace) -> None:
        super().__init__()
        self.space: ElasticSpace = space
        self.network = trainable(space.graph)
        self.layout = Layout.of(self.network, space.thresholds)

    def forward(self, x: Tensor, sel: Sel = None) -> Tensor:
        """See SuperNet. Raises IllegalArchitecture, SearchError for None: nothing decides here."""
        if sel is None:
            raise SearchError("an elastic network must be told its widths: its weights decide nothing")
        check_selection(sel, self.space, len(x))
        return _Pass(self, x, picked(self.space, sel, x.device)).run()

    def extract(self, arch: Arch) -> nn.Module:
        dtype = next(self.parameters()).dtype
        return trainable(self.space.sliced(arch, self.current()), dtype).train(self.training)

    def current(self) -> fx.GraphModule:
        """The initial network in the IR with the weights of now."""
        graph = g.copy_graph(self.space.graph)
        for name, value in constants_of(self.network).items():
            if g.has_name(graph, name):
                g.set_constant(graph, name, value.detach().to(g.get_constant(graph, name)))
        return graph


class _Pass:
    """One forward pass: values, and how many of their channels are alive [n] (n is 1 or the batch)."""

    def __init__(self, net: ElasticNet, x: Tensor, chosen: dict[tuple[int, bool], Picked]) -> None:
        self.net, self.layout, self.x, self.chosen = net, net.layout, x, chosen
        self.graph = net.network.graph
        self.values: dict[Node, Any] = {}
        self.alive: dict[Node, Tensor] = {}
        self.named = {node.name: node for node in self.graph.nodes}
        self.calls = {layer.call: k for k, layer in enumerate(self.layout.layers)}
        self.ends = {layer.end: k for k, layer in enumerate(self.layout.layers)}

    def run(self) -> Tensor:
        for node in self.graph.nodes:
            role = self.layout.roles[node.name]
            if role is Role.OUTPUT:
                return self.values[node.all_input_nodes[0]]  # type: ignore[no-any-return]
            self.values[node] = self._value(node, role)
            self.alive[node] = self._alive(node, role)
            if (index := self.ends.get(node.name)) is not None:
                self._bypass(node, self.layout.layers[index], self.chosen.get((index, False)))
        raise SearchError("a network must have an output")

    def _value(self, node: Node, role: Role) -> Any:
        if role is Role.INPUT:
            return self.x
        if role is Role.CONSTANT:
            return g.get_constant(self.net.network, str(node.target))
        if role is Role.NORM and node.op == "call_module":
            return self.net.network.get_submodule(str(node.target))(self.values[node.all_input_nodes[0]])
        if (index := self.calls.get(node.name)) is not None:
            return self._layer(node, self.layout.layers[index], self.chosen.get((index, True)))
        if role is Role.SUM:
            return self._sum(node)
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), self.values.__getitem__)
        value = node.target(*args, **kwargs)  # type: ignore[operator]
        return self._refill(node, value) if role is Role.FILL and node.name not in self.ends else value

    def _alive(self, node: Node, role: Role) -> Tensor:
        """Channels alive by the shapes alone; what a bypass leaves is noted after it."""
        sources = [n for n in node.all_input_nodes if n.op != "get_attr" and n in self.alive]
        if role in (Role.KEEP, Role.FILL):
            return self.alive[sources[0]]
        if role is Role.NORM and sources:
            return self._full(node)
        if role is Role.FLATTEN:
            return self.alive[sources[0]] * run_length(node)
        if role is Role.PRODUCT:
            return torch.minimum(*(self.alive[n] for n in _operands(node)))
        if role is Role.SUM:
            counts = [self.alive[n] * ~gone for n, gone in zip(_operands(node), self._gone(node), strict=True)]
            return torch.maximum(*counts)
        return self._full(node)

    def _full(self, node: Node) -> Tensor:
        value = self.values[node]
        count = value.shape[1] if isinstance(value, Tensor) and value.ndim > 1 else 0
        return torch.tensor([count], device=self.x.device)

    def _layer(self, node: Node, layer: Layer, kernel: Picked | None) -> Tensor:
        args: list[Any] = [self.values[a] if isinstance(a, Node) else a for a in node.args]
        if kernel is None:
            return node.target(*args)  # type: ignore[operator, no-any-return]
        if kernel.values is None:
            return self._mixed(node, layer, kernel, args)
        sizes = sorted(set(kernel.values.tolist()))
        if len(sizes) == 1:
            return _convolve(node, layer, args, sizes[0])
        rows = [(kernel.values == size).nonzero().flatten() for size in sizes]
        parts = [_convolve(node, layer, [args[0][r], *args[1:]], s) for r, s in zip(rows, sizes, strict=True)]
        return torch.cat(parts)[torch.argsort(torch.cat(rows))]

    def _mixed(self, node: Node, layer: Layer, kernel: Picked, args: list[Any]) -> Tensor:
        """The sum of kernels, each in the middle of the largest that runs."""
        largest = max(size for size, _ in kernel.mix)
        parts = []
        for size, share in kernel.mix:
            weight, margin = _centre(args[1], layer, size) * share, (largest - size) // 2
            parts.append(nn.functional.pad(weight, [margin] * 4))
        weight = torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]
        return _convolve(node, layer, [args[0], weight, *args[2:]], largest, cropped=True)

    def _bypass(self, node: Node, layer: Layer, own: Picked | None) -> None:
        source = self.named[layer.source]
        masks = masks_of(layer, own, self.alive[source])
        if masks is None:
            self.alive[node] = self._full(node)
            return
        self.values[node] = _joined(self.values[node], self.values[source], masks, layer)
        self.alive[node] = masks.alive

    def _sum(self, node: Node) -> Any:
        operands = []
        for operand, gone in zip(_operands(node), self._gone(node), strict=True):
            value = self.values[operand]
            if bool(gone.any()):
                value = value * _as_mask(~gone[:, None], value).to(value.dtype)
            operands.append(value)
        return node.target(*operands, *node.args[2:], **node.kwargs)  # type: ignore[operator]

    def _gone(self, node: Node) -> list[Tensor]:
        """Which side of a sum is gone, for each image [n]; where both are, the one with fewer layers stays."""
        sides = self.layout.branches[node.name]
        gone = [self._removed(side) for side in sides]
        first = 0 if len(sides[0]) < len(sides[1]) else 1
        gone[first] = gone[first] & ~gone[1 - first]
        return gone

    def _removed(self, side: frozenset[int]) -> Tensor:
        if not side:
            return torch.zeros(1, dtype=torch.bool, device=self.x.device)
        layers = sorted(side)
        inputs = [self.alive[self.named[self.layout.layers[k].source]] for k in layers]
        return removed([self.layout.layers[k] for k in layers], [self.chosen.get((k, False)) for k in layers], inputs)

    def _refill(self, node: Node, value: Tensor) -> Tensor:
        """f(0) on channels that are gone becomes zero again."""
        alive = self.alive[next(n for n in node.all_input_nodes if n in self.alive and n.op != "get_attr")]
        if bool((alive >= value.shape[1]).all()):
            return value
        there = torch.arange(value.shape[1], device=value.device) < alive[:, None]
        return torch.where(_as_mask(there, value), value, torch.zeros_like(value))


def _joined(own: Tensor, source: Tensor, masks: Masks, layer: Layer) -> Tensor:
    """Own filters where they are kept, input channels where those stand in, zero elsewhere.

    Input channels that are gone are zero already, so only those that a bypass may carry are looked at: this costs a
    pass over the memory of the output and little more.
    """
    keep = _as_mask(masks.keep, own).to(own.dtype)
    most = bypassed(layer.inputs, layer.threshold, layer.filters)
    if most == 0 or not bool(masks.rest.any()):
        return own * keep
    whole = layer.depthwise and layer.threshold is None and own.shape == source.shape
    if whole and not masks.keep.is_floating_point():
        return torch.lerp(source, own, keep)  # exact at 0 and 1
    steps = tuple(slice(None, None, step) for step in layer.stride)
    return join(own, source, keep, _as_mask(masks.rest[:, :most], own).to(own.dtype), most, steps)


def _operands(node: Node) -> list[Node]:
    """Both sides of a sum or product."""
    return [a for a in node.args[:2] if isinstance(a, Node)]


def _as_mask(mask: Tensor, value: Tensor) -> Tensor:
    """[n, F] for a value [N, F, ...]."""
    return mask.reshape(*mask.shape, *[1] * (value.ndim - 2))


def _centre(weight: Tensor, layer: Layer, size: int) -> Tensor:
    margin = (layer.kernels[0] - size) // 2
    return weight if margin == 0 else weight[:, :, margin:-margin, margin:-margin]


def _convolve(node: Node, layer: Layer, args: list[Any], size: int, cropped: bool = False) -> Tensor:
    """A convolution with the centre of its kernel."""
    margin = (layer.kernels[0] - size) // 2
    weight = args[1] if cropped else _centre(args[1], layer, size)
    padding = [p - margin * d for p, d in zip(args[4], args[5], strict=True)]
    return node.target(args[0], weight, *args[2:4], padding, *args[5:])  # type: ignore[operator, no-any-return]
