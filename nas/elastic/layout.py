"""Which layers of a captured network may lose filters and kernels, and why the others may not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import fx
from torch.fx import Node

from nascc.nas.elastic.layer import Kind, Layer
from nascc.nas.elastic.roles import Role, is_pointwise, role_of, why_opaque
from nascc.nas.elastic.thresholds import Thresholds
from nascc.nas.errors import SearchError
from nascc.passes import graph as g
from nascc.passes.views import Conv

SMALLEST = 3
"""The smallest kernel that a depthwise layer may have."""


@dataclass(frozen=True)
class Layout:
    """`layers` in order; what each node does, by name; `branches` says of every sum which layers stand on each side
    alone; `trims` names, for the call of a gate's last layer, the value whose channels it scales.
    """

    layers: tuple[Layer, ...]
    roles: Mapping[str, Role]
    branches: Mapping[str, tuple[frozenset[int], frozenset[int]]]
    trims: Mapping[str, str]

    @classmethod
    def of(cls, gm: fx.GraphModule, thresholds: Thresholds = Thresholds()) -> "Layout":  # noqa: B008
        """Read a graph in the IR, or one whose batch norms are modules.

        Raises SearchError for thresholds of layers or resolutions that are not there, or below 0.
        """
        return _Reading(gm, thresholds).layout()

    @property
    def shrinkable(self) -> tuple[int, ...]:
        """Indices of the layers that may lose filters."""
        return tuple(k for k, layer in enumerate(self.layers) if not layer.fixed)

    def require_shrinkable(self) -> None:
        """Raise SearchError unless some layer may lose filters."""
        if self.shrinkable:
            return
        reasons = "; ".join(f"'{layer.name}': {layer.fixed}" for layer in self.layers[:3])
        raise SearchError(
            "a network must have a convolution that may lose filters, found none"
            + (f" ({reasons})" if reasons else ": it has no convolution of two dimensions or linear layer")
        )


class _Reading:
    def __init__(self, gm: fx.GraphModule, thresholds: Thresholds) -> None:
        self.gm, self.thresholds = gm, thresholds
        self.nodes = list(gm.graph.nodes)
        self.position = {node: k for k, node in enumerate(self.nodes)}
        self.named = {node.name: node for node in self.nodes}
        self.roles = {node: role_of(node) for node in self.nodes}
        self.before = self._ancestors()
        self.layers: list[Layer] = []
        self.ends: dict[Node, int] = {}
        self.fixed: dict[int, str] = {}
        self.whole: set[Node] = set()

    def layout(self) -> Layout:
        for node in self.nodes:
            if self.roles[node] is Role.LAYER:
                self._add(node)
        gates, trims = self._gates()
        self._keep_whole()
        layers = [replace(layer, fixed=self.fixed.get(k, ""), gate=k in gates) for k, layer in enumerate(self.layers)]
        self._check(layers)
        given = self.thresholds.given(layers)
        final = tuple(replace(layer, threshold=self._threshold(layer, given[layer.name])) for layer in layers)
        branches = {n.name: self._branches(n) for n in self.nodes if self.roles[n] is Role.SUM}
        own = frozenset(gates)
        kept = {name: (left - own, right - own) for name, (left, right) in branches.items()}
        return Layout(final, {n.name: r for n, r in self.roles.items()}, kept, trims)

    def _ancestors(self) -> dict[Node, int]:
        """Of every node, itself among them, as bits."""
        found: dict[Node, int] = {}
        for k, node in enumerate(self.nodes):
            bits = 1 << k
            for operand in node.all_input_nodes:
                bits |= found[operand]
            found[node] = bits
        return found

    def _add(self, call: Node) -> None:
        norm, end = self._chain(call)
        conv = Conv.of(call)
        source: Any = call.args[0]
        kind: Kind = "linear" if conv is None else "depthwise" if conv.groups > 1 else "dense"
        shape = [int(s) for s in g.shape(call)]
        read = [int(s) for s in g.shape(source)]
        label = g.label(call)
        taken = {layer.name for layer in self.layers}
        name = label if label not in taken else f"{label}:{call.name}"
        self.ends[end] = len(self.layers)
        self.layers.append(
            Layer(
                name=name,
                kind=kind,
                source=source.name,
                call=call.name,
                norm=None if norm is None else norm.name,
                end=end.name,
                filters=shape[1],
                inputs=read[1],
                kernels=_kernels(conv, kind),
                threshold=None,
                stride=() if conv is None else tuple(conv.stride),
                place=tuple(read[2:]),
            )
        )

    def _chain(self, call: Node) -> tuple[Node | None, Node]:
        """The batch norm and the last activation behind a call, as far as nothing else reads in between."""
        norm, end = None, call
        while len(end.users) == 1:
            (user,) = end.users
            if end is call and user.args[0] is end and _is_own(user, self.roles[user]):
                norm = user
            elif self.roles[user] not in (Role.KEEP, Role.FILL) or not is_pointwise(user):
                break
            end = user
        return norm, end

    def _gates(self) -> tuple[set[int], dict[str, str]]:
        """Layers that only scale channels, which keep their filters; and what the last of them scale."""
        gates, trims = set[int](), dict[str, str]()
        for node in self.nodes:
            if self.roles[node] is not Role.PRODUCT:
                continue
            x, gate = self._scaled(node)
            if gate is None:
                continue
            own = self.before[gate] & ~self.before[x]
            members = {k for k, layer in enumerate(self.layers) if own >> self._at(layer.call) & 1}
            members = {k for k in members if self._leads_only_to(self.named[self.layers[k].end], node, own)}
            gates |= members
            self.fixed |= dict.fromkeys(members, "it scales channels, as squeeze-and-excitation does")
            last = self.ends.get(self._origin(gate))
            if last in members and self._at(x.name) < self._at(self.layers[last].call):
                trims[self.layers[last].call] = x.name
        return gates, trims

    def _scaled(self, product: Node) -> tuple[Node, Node | None]:
        """The value that is scaled, and what scales it: one number a channel, or through a map with f(0) > 0."""
        first, second = (a for a in product.args[:2] if isinstance(a, Node))
        for x, gate in ((first, second), (second, first)):
            small = all(int(s) == 1 for s in g.shape(gate)[2:])
            large = any(int(s) > 1 for s in g.shape(x)[2:])
            if (small and large) or (self.roles[gate] is Role.FILL and self.roles[x] is not Role.FILL):
                return x, gate
        return first, None

    def _origin(self, node: Node) -> Node:
        """The value before pure reshapes."""
        while self.roles[node] is Role.FLATTEN and node not in self.ends:
            node = node.all_input_nodes[0]
        return node

    def _leads_only_to(self, node: Node, product: Node, own: int) -> bool:
        stack = [node]
        while stack:
            for user in stack.pop().users:
                if user is not product:
                    if not own >> self.position[user] & 1:
                        return False
                    stack.append(user)
        return True

    def _keep_whole(self) -> None:
        """Whatever goes out, or into a call that is not understood, has to have all its channels."""
        for node in self.nodes:
            if self.roles[node] is Role.OUTPUT:
                for value in node.all_input_nodes:
                    self._whole(value, "it makes the output of the network")
            elif self.roles[node] is Role.NORM and not any(layer.norm == node.name for layer in self.layers):
                self._whole_inputs(node, "a batch norm that is not its own reads it")
            elif self.roles[node] is Role.OPAQUE:
                self._whole_inputs(node, f"'{g.label(node)}' ({node.target}) {why_opaque(node)}")

    def _whole_inputs(self, node: Node, reason: str) -> None:
        for value in node.all_input_nodes:
            if value.op != "get_attr":
                self._whole(value, reason)

    def _whole(self, node: Node, reason: str) -> None:
        """Every channel of a value must be there: fix the layers that make it."""
        if node in self.whole:
            return
        self.whole.add(node)
        if (index := self.ends.get(node)) is not None:
            layer = self.layers[index]
            self.fixed.setdefault(index, reason)
            if layer.depthwise:
                self._whole(self.named[layer.source], reason)
        elif self.roles[node] in (Role.KEEP, Role.FILL, Role.SUM, Role.PRODUCT, Role.FLATTEN, Role.NORM):
            self._whole_inputs(node, reason)
        elif self.roles[node] is Role.LAYER:
            self._whole(self.named[self.layers[self._of_call(node)].end], "its output feeds several consumers")

    def _of_call(self, node: Node) -> int:
        return next(k for k, layer in enumerate(self.layers) if layer.call == node.name)

    def _branches(self, node: Node) -> tuple[frozenset[int], frozenset[int]]:
        left, right = (self.before[a] for a in node.args[:2] if isinstance(a, Node))
        return self._inside(left & ~right), self._inside(right & ~left)

    def _inside(self, bits: int) -> frozenset[int]:
        return frozenset(k for k, layer in enumerate(self.layers) if bits >> self._at(layer.call) & 1)

    def _at(self, name: str) -> int:
        return self.position[self.named[name]]

    def _threshold(self, layer: Layer, given: int | None) -> int | None:
        """T, or 0 where the input can not stand in for the output: sizes differ, or all filters stay anyway."""
        out = [int(s) for s in g.shape(self.named[layer.call])][2:]
        steps = layer.stride or (1,) * len(out)
        fits = all(-(-side // step) == size for side, step, size in zip(layer.place, steps, out, strict=True))
        return given if fits and not layer.fixed else 0

    def _check(self, layers: list[Layer]) -> None:
        places = {"x".join(map(str, layer.place)) for layer in layers}
        problems = list(_unknown("resolution", self.thresholds.at, places))
        problems += _unknown("layer", self.thresholds.of, {layer.name for layer in layers})
        values = {**self.thresholds.at, **self.thresholds.of}
        problems += [f"T of '{name}' must be at least 0, got {value}" for name, value in values.items() if value < 0]
        if problems:
            raise SearchError("; ".join(problems))


def _is_own(norm: Node, role: Role) -> bool:
    """Does a batch norm hold its numbers, so that they can be sliced? They may also be expressions."""
    held = (a for a in norm.args[1:5] if isinstance(a, Node))
    return role is Role.NORM and all(a.op == "get_attr" for a in held)


def _unknown(what: str, given: Mapping[str, int], known: set[str]) -> Iterator[str]:
    for name in given:
        if name not in known:
            yield f"T must be given for a {what} of the network, such as {', '.join(sorted(known)[:5])}, got '{name}'"


def _kernels(conv: Conv | None, kind: Kind) -> tuple[int, ...]:
    """Odd sizes a square depthwise kernel may shrink to, its own first; others keep theirs."""
    if conv is None:
        return ()
    height, width = conv.kernel
    largest = max(height, width)
    if kind != "depthwise" or height != width or height % 2 == 0:
        return (largest,)
    room = [min(p // d for p, d in zip(conv.padding, conv.dilation, strict=True))]
    return tuple(k for k in range(height, 0, -2) if k == height or (k >= SMALLEST and (height - k) // 2 <= room[0]))
