"""Put trained modules in the place of parts of a network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor, fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import GraphPass, Numerics, Reject, Rewrite, handed_in
from nascc.passes.blocks.flow import Flow, Span
from nascc.passes.edit import Edit, absorb
from nascc.passes.errors import PassError

DONE = "replaced_regions"
"""Where a graph keeps which of its regions were replaced."""


@dataclass(frozen=True, eq=False)
class Region:
    """What computes `end` from `begin` (names of nodes), and the graph in nascc's IR that will do so instead.

    The graph takes one tensor of the shape of `begin` and gives one of the shape of `end`.
    """

    name: str
    begin: str
    end: str
    graph: fx.GraphModule


@dataclass(frozen=True)
class _Plan:
    regions: tuple[tuple[Region, Node, Node], ...] = ()
    constants: tuple[str, ...] = ()
    rejected: tuple[Reject, ...] = field(default=())


@dataclass(frozen=True)
class ReplaceRegions(GraphPass[_Plan]):
    """region(x) -> module(x), for each region handed in: one tensor in, one out, of the same shapes [N, C, H, W].

    `constants` gives parameters of what stays new values. Nothing is promised about the numbers of what is replaced;
    what is not replaced stays bit for bit, with its provenance, and what is new names the modules it stands for.
    """

    numerics: ClassVar[Numerics] = Numerics.LOSSY
    regions: tuple[Region, ...] = handed_in(default=())
    constants: Mapping[str, Tensor] = handed_in(default_factory=dict)

    def plan(self, gm: fx.GraphModule) -> _Plan | Reject | None:
        done: set[str] = gm.meta.get(DONE, set())
        left = [region for region in self.regions if region.name not in done]
        tuned = tuple(name for name in self.constants if name not in done)
        if not left and not tuned:
            return None
        flow = Flow.of(gm)
        found = [(region, _located(flow, region)) for region in left]
        legal = tuple((region, *place) for region, place in found if isinstance(place, tuple))
        return _Plan(legal, tuned, tuple(place for _, place in found if isinstance(place, Reject)))

    def apply(self, gm: fx.GraphModule, plan: _Plan) -> tuple[Rewrite, ...]:
        rewrites = []
        for name in plan.constants:
            _set(gm, name, self.constants[name])
        became: dict[Node, Node] = {}
        for region, begin, end in plan.regions:
            edit = Edit(end)
            new = _inlined(edit, region, became.get(begin, begin))
            edit.replace(end, new)
            became[end] = new
            rewrites.append(Rewrite(new.name, g.sources(new)))
        gm.meta[DONE] = gm.meta.get(DONE, set()) | {region.name for region, *_ in plan.regions} | set(plan.constants)
        return tuple(rewrites)

    def rejects(self, plan: _Plan) -> tuple[Reject, ...]:
        return plan.rejected


def _located(flow: Flow, region: Region) -> tuple[Node, Node] | Reject:
    """Where a region begins and ends in a graph, if it may be replaced."""
    by_name = {node.name: node for node in flow.position}
    last = flow.nodes[-1]
    if missing := [name for name in (region.begin, region.end) if name not in by_name]:
        return Reject(last, f"region '{region.name}' must lie on the way of the data, but there is no '{missing[0]}'")
    begin, end = by_name[region.begin], by_name[region.end]
    span = Span(flow.position[begin] + 1, flow.position[end], region.name)
    if span.size < 1:
        return Reject(end, f"region '{region.name}' must end behind its beginning")
    if (inputs := flow.inputs(span)) != (begin,) or flow.outputs(span) != (end,):
        told = ", ".join(f"'{g.label(n)}'" for n in inputs)
        return Reject(end, f"region '{region.name}' must have one tensor in and one out, it reads {told}")
    new = [g.shape(n) for n in _ends(region.graph)]
    if new != [g.shape(begin), g.shape(end)]:
        shapes = " to ".join(str(list(map(int, shape))) for shape in (g.shape(begin), g.shape(end)))
        given = " to ".join(str(list(map(int, shape))) for shape in new)
        return Reject(end, f"what replaces '{region.name}' must turn {shapes}, but it turns {given}")
    return begin, end


def _ends(graph: fx.GraphModule) -> tuple[Node, Node]:
    """The one input and the one output of a graph. Raises PassError."""
    entries = graph.graph.find_nodes(op="placeholder")
    (output,) = graph.graph.find_nodes(op="output")
    if len(entries) != 1 or len(output.args[0]) != 1:
        raise PassError(f"what replaces a region must have one input and one output, found {len(entries)} inputs")
    return entries[0], output.args[0][0]


def _inlined(edit: Edit, region: Region, begin: Node) -> Node:
    """The calls of a region's graph on `begin`; its last value."""
    entry, last = _ends(region.graph)
    path = ".".join(filter(None, region.name.split(".")))  # ranges such as 'layer1..layer2' name modules too
    made: dict[Node, Node] = {entry: begin}
    for node in region.graph.graph.nodes:
        if node.op == "get_attr":
            made[node] = edit.constant(g.constant(node), f"{path}.{node.target}", like=node)
        elif node.op == "call_function":
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), made.__getitem__)
            made[node] = edit.call(node.target, *args, **kwargs)
        if node.op in ("get_attr", "call_function"):
            _remember(made[node], path, node)
    return made[last]


def _remember(new: Node, name: str, node: Node) -> None:
    """The new call comes from a module below the region's."""
    path = ".".join(part for part in (name, g.module_path(node)) if part)
    new.meta["module"] = path
    if new.op == "call_function":
        new.meta["sources"] = ()
        absorb(new, (path,))
    new.meta["dtype"] = node.meta.get("dtype", new.meta.get("dtype"))


def _set(gm: fx.GraphModule, name: str, value: Tensor) -> None:
    """Another value for a constant. Raises PassError where it has another shape."""
    old = g.get_constant(gm, name)
    if old.shape != value.shape:
        raise PassError(f"'{name}' must keep its shape {list(old.shape)}, got {list(value.shape)}")
    g.set_constant(gm, name, value.detach().to(old.dtype))
