"""A block among its neighbours: what passes and fusion do across its borders counts when its operators are compared."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, fx
from torch.fx import Node

from nascc.nas.regions.teacher import Teacher
from nascc.passes import PassError, Region, ReplaceRegions, run_pass
from nascc.passes import graph as g
from nascc.passes.blocks import Flow, Span, extract, is_weighted

NEW = "operator"


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """`graph` is the teacher from the weighted part before a block to the one behind it, for a number of images.

    `begin` and `end` are the names of the block's values in it; `alone` is the block without neighbours.
    """

    graph: fx.GraphModule
    begin: str
    end: str
    alone: fx.GraphModule

    def holding(self, block: fx.GraphModule) -> fx.GraphModule:
        """The same part of the network with another block, a graph in nascc's IR. Raises PassError."""
        graph = g.copy_graph(self.graph)
        result = run_pass(ReplaceRegions((Region(NEW, self.begin, self.end, block),)), graph)
        if result.rejects:
            raise PassError("; ".join(reject.reason for reject in result.rejects))
        return graph

    @cached_property
    def key(self) -> str:
        """Equal keys, equal costs: the calls, the shapes of all constants, and where these are zero."""
        digest = hashlib.sha256(f"{self.begin_at} {self.end_at}\n".encode())
        numbers: dict[Node, str] = {}
        for node in self.graph.graph.nodes:
            numbers[node] = f"%{len(numbers)}"
            args = fx.node.map_arg((node.args, node.kwargs), lambda n: numbers[n])
            what = _told(g.constant(node)) if node.op == "get_attr" else f"{node.target} {args}".encode()
            digest.update(node.op.encode() + b" " + what + b"\n")
        (entry,) = self.graph.graph.find_nodes(op="placeholder")
        digest.update(str(list(g.shape(entry))).encode())
        return digest.hexdigest()[:32]

    @property
    def begin_at(self) -> int:
        return self._position(self.begin)

    @property
    def end_at(self) -> int:
        return self._position(self.end)

    def _position(self, name: str) -> int:
        return next(k for k, node in enumerate(self.graph.graph.nodes) if node.name == name)


def neighbourhoods(teacher: Teacher, batch: int) -> Iterator[Neighbourhood]:
    """Of every block in order, for a number of images."""
    flow = Flow.of(teacher.at_batch(batch))
    everything = list(flow.atoms(Span(0, len(flow.nodes) - 1)))
    for slot in range(len(teacher.places)):
        span = teacher.located(flow, slot).span
        before = [atom for atom in everything if atom.last < span.first]
        behind = [atom for atom in everything if atom.first > span.last]
        reached = [*_until_weighted(flow, before[::-1]), span, *_until_weighted(flow, behind)]
        whole = Span(min(part.first for part in reached), max(part.last for part in reached))
        graph = extract(flow, whole)
        own = Flow.of(graph)
        begin, end = own.node(span.first - whole.first - 1), own.node(span.last - whole.first)
        yield Neighbourhood(graph, begin.name, end.name, extract(flow, span))


def _until_weighted(flow: Flow, atoms: Sequence[Span]) -> Iterator[Span]:
    """Atoms up to the first that holds a convolution or matrix product."""
    for atom in atoms:
        yield atom
        if any(map(is_weighted, flow.calls(atom))):
            return


def _told(constant: Tensor) -> bytes:
    """All that passes may make of a constant: floating-point numbers matter where they are zero."""
    numbers = (constant == 0) if constant.is_floating_point() else constant
    held = bool(numbers.any()) or not constant.is_floating_point()
    bits = numbers.contiguous().view(torch.uint8).numpy().tobytes() if held and numbers.numel() else b""
    return f"{constant.dtype} {list(constant.shape)} ".encode() + bits
