"""Find the maximal single-input regions of linear operators in a graph: chains, sums, concatenations, residuals."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.linear.convert import per_channel
from nascc.passes.linear.flatten import lift
from nascc.passes.linear.operator import Operator, Refusal
from nascc.passes.linear.region import IDENTITY, Chain, Concat, Expr, Leaf, Region, Site, Sum, flatten, leaves
from nascc.passes.regions.blends import blend
from nascc.passes.regions.read import Read, is_channels_last, rank_of, read, sizes_of

aten = torch.ops.aten
ACTIVATIONS = {
    aten.relu.default: "relu",
    aten.hardtanh.default: "clip",
    aten.silu.default: "silu",
    aten.hardswish.default: "hardswish",
    aten.gelu.default: "gelu",
    aten.leaky_relu.default: "leaky_relu",
    aten.sigmoid.default: "sigmoid",
}
FIRST, LAST = "first", "last"
NEGATION = "negation"
"""Name of a leaf that is no call of its own: the minus of a difference."""


@dataclass(frozen=True, eq=False)
class Found:
    """A region in the graph: what goes in, what comes out, and the calls behind each leaf's name."""

    source: Node
    sink: Node
    region: Region
    reads: dict[str, Read]


@dataclass(frozen=True, eq=False)
class Step:
    """One step up from a value: an expression from `source`, the calls inside it, and where its channels stand.

    `layout` is FIRST (axis 1) or LAST; None where both are the same axis.
    """

    source: Node
    expression: Expr
    inside: frozenset[Node]
    layout: str | None


@dataclass
class Finder:
    """Walks one graph; every call belongs to at most one region. With `keep_residuals`, x + f(x) belongs to none."""

    gm: fx.GraphModule
    keep_residuals: bool = False
    refusals: dict[Node, str] = field(default_factory=dict)
    _reads: dict[str, Read] = field(default_factory=dict)
    _steps: dict[Node, Step | None] = field(default_factory=dict)

    def regions(self) -> Iterator[Found]:
        """Every maximal region that holds at least two operators."""
        taken: set[Node] = set()
        for node in reversed(self.gm.graph.nodes):
            if (blended := blend(node)) is not None:
                self.refusals[node] = blended.reason
            if node not in taken and self.step(node) is not None:
                source, parts, inside = self._climb_to_top(node)
                taken |= inside
                yield from self._found(source, node, Chain(tuple(parts)))

    def joins(self) -> Iterator[Found]:
        """Every outermost sum or concatenation of branches that start at one value."""
        taken: set[Node] = set()
        for node in reversed(self.gm.graph.nodes):
            if node not in taken and _joined(node)[0] is not None and (step := self.step(node)) is not None:
                taken |= step.inside
                yield from self._found(step.source, node, step.expression)

    def _found(self, source: Node, sink: Node, expression: Expr) -> Iterator[Found]:
        expression = flatten(expression)
        reads = {leaf.name: self._reads[leaf.name] for leaf in leaves(expression) if leaf.name in self._reads}
        if len(reads) > 1 or (reads and not isinstance(expression, Leaf)):
            yield Found(source, sink, _region(source, sink, expression), reads)

    def _climb_to_top(self, sink: Node) -> tuple[Node, list[Expr], set[Node]]:
        """Go up from `sink` while the value above has no reader outside."""
        parts: list[Expr] = []
        inside: set[Node] = set()
        here, layout, like = sink, None, sink
        while (step := self.step(here)) is not None:
            if here is not sink and not (_same_kind(like, here) and self._is_private(here, inside)):
                break
            if None not in (layout, step.layout) and layout != step.layout:
                break
            layout = layout or step.layout
            parts.insert(0, step.expression)
            inside |= step.inside
            here = step.source
            like = here if leaves(step.expression)[-1].flattens else like
        return here, parts, inside

    def _is_private(self, value: Node, inside: set[Node]) -> bool:
        """Is the value read inside only? If not, what it ends is told."""
        others = [user for user in value.users if user not in inside]
        if others:
            is_output = any(user.op == "output" for user in others)
            readers = "is an output of the graph" if is_output else f"has {len(value.users)} users, must have 1"
            self.refusals[value] = f"output of '{g.label(value)}' {readers}, to join what follows"
        return not others

    def step(self, node: Node) -> Step | None:
        """One step up from the value of `node`: through one operator, or through a whole join."""
        if node not in self._steps:
            self._steps[node] = self._join(node) or self._single(node)
        return self._steps[node]

    def _single(self, node: Node) -> Step | None:
        found = read(node)
        if isinstance(found, Refusal):
            self.refusals[node] = found.reason
        if not isinstance(found, Read):
            return None
        self._reads[found.leaf.name] = found
        layout = FIRST if found.leaf.flattens else _layout(node)
        return Step(found.input, found.leaf, frozenset(found.calls), layout)

    def _join(self, node: Node) -> Step | None:
        kind, inputs = _joined(node)
        if kind is None:
            return None
        ladders = [self._ladder(x, node) for x in inputs]
        common = [rung for rung in ladders[0] if all(rung in ladder for ladder in ladders[1:])]
        for source in common:
            branches = [_branch(ladder, source) for ladder in ladders]
            if self.keep_residuals and kind is Sum and not all(branches):
                return None
            inside = frozenset([node]).union(*(step.inside for branch in branches for step in branch))
            layouts = {step.layout for branch in branches for step in branch} - {None}
            if len(layouts) > 1 or (kind is Concat and LAST in layouts):
                continue
            if all(set(n.users) <= inside for n in inside if n is not node):
                layout = next(iter(layouts), None if len(g.shape(node)) == 2 else FIRST)
                parts = [_expression(branch, source, layout) for branch in branches]
                if g.is_call(node, aten.sub.Tensor):
                    parts[1] = flatten(Chain((parts[1], _virtual(NEGATION, -1.0, node, layout))))
                return Step(source, kind(tuple(parts)), inside, layout)
        return None

    def _ladder(self, value: Node, join: Node) -> dict[Node, Step | None]:
        """Every value that can be reached from `value` going up, and the step that leaves it."""
        ladder: dict[Node, Step | None] = {}
        here: Node | None = value
        while here is not None:
            step = self.step(here) if _same_kind(join, here) else None
            ladder[here] = step
            here = None if step is None else step.source
        return ladder


def _joined(node: Node) -> tuple[type[Sum] | type[Concat] | None, list[Node]]:
    """A sum, a difference or a concatenation of values along the channels, and its inputs."""
    if g.is_call(node, aten.add.Tensor, aten.sub.Tensor) and not node.kwargs and g.is_floating(node):
        inputs = [a for a in node.args if isinstance(a, Node) and not g.is_constant(a)]
        if len(inputs) == 2 and all(_same_form(a, node) for a in inputs):
            return Sum, inputs
    if g.is_call(node, aten.cat.default) and g.is_floating(node):
        values, dim = list(node.args[0]), (*node.args, 0)[1]  # type: ignore[arg-type]
        if len(values) > 1 and dim == 1 and all(isinstance(v, Node) and not g.is_constant(v) for v in values):
            return Concat, values
    return None, []


def _same_form(a: Node, b: Node) -> bool:
    x, y = g.shape(a), g.shape(b)
    return g.dtype(a) == g.dtype(b) and len(x) == len(y) and all(map(g.same, x, y))


def _branch(ladder: dict[Node, Step | None], source: Node) -> list[Step]:
    """The steps from `source` down to the top of the ladder, in the order they run."""
    steps: list[Step] = []
    for value, step in ladder.items():
        if value is source:
            break
        assert step is not None
        steps.insert(0, step)
    return steps


def _expression(branch: list[Step], source: Node, layout: str | None) -> Expr:
    if not branch:
        return _virtual(IDENTITY, 1.0, source, layout)
    return flatten(Chain(tuple(step.expression for step in branch)))


def _virtual(name: str, factor: float, like: Node, layout: str | None) -> Leaf:
    """A leaf that multiplies by 1 or -1 and costs nothing."""
    axis, spatial = (-1, 0) if layout == LAST else (1, max(0, rank_of(like)))
    scale = torch.full((int(g.shape(like)[axis]),), factor, dtype=torch.float64)
    return Leaf(name, per_channel(scale, None, spatial), IDENTITY)


def _same_kind(a: Node, b: Node) -> bool:
    """Do both values have as many axes and the same recorded dtype?"""
    return g.dtype(a) == g.dtype(b) and len(g.shape(a)) == len(g.shape(b))


def _layout(node: Node) -> str | None:
    if len(g.shape(node)) == 2:
        return None
    return LAST if is_channels_last(node) else FIRST


def _region(source: Node, sink: Node, expression: Expr) -> Region:
    shape = g.shape(source)
    if any(leaf.flattens for leaf in leaves(expression)):
        expression = _on_images(expression, len(shape) - 2)
    last = any(leaf.operator.rank == 0 for leaf in leaves(expression) if isinstance(leaf.operator, Operator))
    spatial = () if last else shape[2:]
    site = Site(
        size=() if last else sizes_of(source),
        dynamic=tuple(not isinstance(s, int) for s in spatial),
        smallest=tuple(_smallest(s) for s in spatial),
        batch=_batch(shape[:-1] if last else shape[:1]),
        dtype=str(g.dtype(sink)).removeprefix("torch."),
    )
    return Region(expression, site, _tail(sink))


def _on_images(expression: Expr, rank: int) -> Expr:
    """The expression with its operators on vectors as operators on images of one pixel."""
    if not isinstance(expression, Leaf):
        return replace(expression, parts=tuple(_on_images(part, rank) for part in expression.parts))
    operator = expression.operator
    if not isinstance(operator, Operator) or operator.rank == rank:
        return expression
    return replace(expression, operator=lift(operator, rank), flattens=True)


def _smallest(size: int | torch.SymInt) -> int:
    if isinstance(size, int):
        return size
    low = size.node.shape_env.bound_sympy(size.node.expr).lower
    return max(1, int(low)) if low.is_integer else 1


def _batch(sizes: tuple[int | torch.SymInt, ...]) -> int:
    count = 1
    for s in sizes:
        count *= s if isinstance(s, int) else int(s.node.hint)
    return count


def _tail(sink: Node) -> tuple[str, ...]:
    """What directly follows the region and a runtime may fuse into its last convolution."""
    if len(sink.users) != 1:
        return ()
    (user,) = sink.users
    if g.is_call(user, aten.add.Tensor):
        return ("add",)
    return (ACTIVATIONS[user.target],) if user.target in ACTIVATIONS else ()
