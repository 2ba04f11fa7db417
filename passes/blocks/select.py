"""Which parts of a network are worth replacing: its residual blocks, and runs of convolutions without branches."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.base import Reject
from nascc.passes.blocks.chains import chain_spans, resolutions
from nascc.passes.blocks.flow import Flow, Span
from nascc.passes.blocks.layout import image_values
from nascc.passes.blocks.modules import is_whole, module_spans
from nascc.passes.blocks.weighted import is_weighted

aten = torch.ops.aten
LONGEST = 6
"""More weighted calls than these in a row without branches are several blocks."""
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Place:
    """A block: where it begins (the value it reads) and ends, as names of nodes; shapes are (C, H, W).

    `span` is its place in the flow of the graph it was found in.
    """

    name: str
    begin: str
    end: str
    span: Span
    shape: Shape
    out_shape: Shape

    @property
    def stride(self) -> int:
        """How many times fewer rows come out."""
        return max(1, round(self.shape[1] / self.out_shape[1]))

    @property
    def keeps_shape(self) -> bool:
        return self.shape == self.out_shape


def find_places(gm: fx.GraphModule) -> tuple[Place, ...]:
    """The blocks of a captured network with static shapes, in order; none overlap. Raises PassError (see Flow.of)."""
    flow = Flow.of(gm)
    finder = _Finder(flow)
    spans = finder.blocks(Span(0, len(flow.nodes) - 1, ""))
    found = (place_of(flow, span, finder.images) for span in spans)
    return tuple(place for place in found if isinstance(place, Place))


def place_of(flow: Flow, span: Span, images: set[Node] | None = None) -> Place | Reject:
    """A span as a block; or why it can be none."""
    begin, end = flow.begin(span), flow.end(span)
    inputs, outputs = flow.inputs(span), flow.outputs(span)
    if len(inputs) != 1 or len(outputs) != 1 or not flow.is_closed(span):
        told = ", ".join(f"'{g.label(n)}'" for n in (inputs if len(inputs) != 1 else outputs)[:4])
        reads = f"{len(inputs)} tensors in and {len(outputs)} out"
        return Reject(end, f"block '{span.name}' must have one tensor in and one out, found {reads} ({told})")
    if begin.op == "placeholder":
        return Reject(end, f"block '{span.name}' reads the images themselves, and what does that stays")
    shape, out_shape = _shape(begin), _shape(end)
    known = image_values(flow) if images is None else images
    if shape is None or out_shape is None or begin not in known or end not in known:
        return Reject(end, f"block '{span.name}' must turn maps [N, C, H, W] into maps, found {_shown(begin, end)}")
    stride = max(1, round(shape[1] / out_shape[1]))
    if (-(-shape[1] // stride), -(-shape[2] // stride)) != out_shape[1:]:
        sizes = f"{shape[1]}x{shape[2]} to {out_shape[1]}x{out_shape[2]}"
        return Reject(end, f"block '{span.name}' must keep or divide both sides of its maps, found {sizes}")
    return Place(span.name or f"{begin.name}..{end.name}", begin.name, end.name, span, shape, out_shape)


class _Finder:
    """Divides spans along the modules of the user's code, down to modules that hold no two blocks."""

    def __init__(self, flow: Flow) -> None:
        self.flow, self.images = flow, image_values(flow)
        self.modules = [s for s in module_spans(flow) if flow.is_closed(s) and is_whole(flow, s)]

    def blocks(self, span: Span) -> list[Span]:
        """The blocks inside a closed span, or the span itself where it is one."""
        if not self._weight(span):
            return []
        children = list(self._children(span))
        inner = [child for child in children if self._is_block(child)]
        if len(inner) > 1:
            return [block for child in inner for block in self.blocks(child)]
        if len(inner) == 1 and (len(found := self.blocks(inner[0])) > 1 or not self._is_place(span)):
            return found
        if self._is_chain_of_several(span) or not self._is_place(span):
            return [part for part in chain_spans(self.flow, span) if self._is_place(part)]
        return [span]

    def _children(self, span: Span) -> Iterator[Span]:
        """The largest modules inside, which do not overlap."""
        at = span.first
        for module in self.modules:
            if module.first >= at and span.holds(module) and module.size < span.size:
                yield module
                at = module.last + 1

    def _is_block(self, span: Span) -> bool:
        """Is there more in it than one weighted call: several, or one beside a shortcut?"""
        weight = self._weight(span)
        return weight > 1 or (weight == 1 and self._branches(span))

    def _is_place(self, span: Span) -> bool:
        return self._has_convolution(span) and isinstance(place_of(self.flow, span, self.images), Place)

    def _is_chain_of_several(self, span: Span) -> bool:
        if self._branches(span):
            return False
        return self._weight(span) > LONGEST or resolutions(self.flow, span) > 2

    def _branches(self, span: Span) -> bool:
        """Does a part with weights run beside another way?"""
        return any(atom.size > 1 and self._weight(atom) for atom in self.flow.atoms(span))

    def _weight(self, span: Span) -> int:
        return sum(map(is_weighted, self.flow.calls(span)))

    def _has_convolution(self, span: Span) -> bool:
        return any(g.is_call(n, aten.convolution.default) and is_weighted(n) for n in self.flow.calls(span))


def _shape(node: Node) -> Shape | None:
    value = g.value(node)
    if not isinstance(value, Tensor) or value.ndim != 4 or not value.is_floating_point():
        return None
    _, c, h, w = value.shape
    return (c, h, w) if isinstance(c, int) and isinstance(h, int) and isinstance(w, int) else None


def _shown(begin: Node, end: Node) -> str:
    shapes = (list(g.shape(n)) if isinstance(g.value(n), Tensor) else "no tensor" for n in (begin, end))
    return " to ".join(map(str, shapes))
