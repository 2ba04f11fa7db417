"""A trained network as a captured graph that knows its blocks."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from nascc.compiler.capture import capture, renamed
from nascc.compiler.shapes import parse_shapes
from nascc.nas.core import Ctx
from nascc.nas.errors import SearchError
from nascc.nas.regions.chain import Chain
from nascc.nas.regions.norms import with_norms
from nascc.passes import PassError, demote
from nascc.passes import graph as g
from nascc.passes.blocks import (
    Flow,
    Place,
    Span,
    extract,
    find_places,
    loosened,
    named_spans,
    new_head,
    place_of,
    rebatched,
)

BATCH = 37
"""Images that a module is captured with: a size that nothing else in a network has."""
ALIKE = 2
"""Images that must give alone what they give together."""
INPUT, OUTPUT = "images", "scores"
ACTIVATION = "relu"
"""What operators of the pool use between their layers."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """`graph` is the network in nascc's IR, of static shapes for `BATCH` images, and runs on any number of them."""

    graph: fx.GraphModule
    places: tuple[Place, ...]

    @classmethod
    def of(cls, model: nn.Module | ExportedProgram, image: Sequence[int], blocks: Sequence[str] = ()) -> "Teacher":
        """Capture a network for images (C, H, W) and find its blocks, or those of the patterns `blocks`.

        Raises CompileError where it can not be captured, SearchError for networks without blocks, of several inputs or
        outputs, that mix the images of a batch, and for patterns that name no block.
        """
        graph = captured_for(model, image)
        try:
            return cls(graph, named_spans(graph, blocks) if blocks else find_places(graph))
        except PassError as error:
            raise SearchError(str(error)) from error

    def require_blocks(self) -> None:
        """Raise SearchError unless there is a block to replace."""
        if not self.places:
            raise SearchError(
                "a network must have a block to replace: a part with convolutions that turns one map [N, C, H, W] into "
                "one, behind the first layer, found none; name modules with --blocks to learn why they are none"
            )

    @property
    def classes(self) -> int:
        """How many logits come out. Raises SearchError where the output is no [N, classes]."""
        (output,) = self.graph.graph.find_nodes(op="output")
        shape = g.shape(output.args[0][0])
        if len(shape) != 2:
            raise SearchError(f"a classifier must give logits [N, classes], this network gives {list(shape)}")
        return int(shape[1])

    def with_head(self, classes: int, seed: int) -> "Teacher":
        """The network with a fresh last layer for other classes. Raises SearchError where it does not end in one."""
        try:
            return Teacher(new_head(self.graph, classes, seed), self.places)
        except PassError as error:
            raise SearchError(str(error)) from error

    def with_constants(self, constants: Mapping[str, Tensor]) -> "Teacher":
        """The network with other numbers under the names of its constants."""
        graph = g.copy_graph(self.graph)
        for name, value in constants.items():
            g.set_constant(graph, name, value.detach().to(g.get_constant(graph, name).dtype))
        return Teacher(graph, self.places)

    @cached_property
    def flow(self) -> Flow:
        return Flow.of(self.graph)

    @cached_property
    def spans(self) -> tuple[Span, ...]:
        """The parts that make the network up, in order, blocks among them."""
        at, found = 0, list[Span]()
        for place in self.places:
            if place.span.first > at:
                found.append(Span(at, place.span.first - 1))
            found.append(place.span)
            at = place.span.last + 1
        return (*found, Span(at, len(self.flow.nodes) - 1)) if at < len(self.flow.nodes) else tuple(found)

    @property
    def contexts(self) -> tuple[Ctx, ...]:
        """Where each block stands."""
        return tuple(Ctx(place.shape, place.out_shape[0], place.stride, ACTIVATION) for place in self.places)

    def part(self, index: int) -> nn.Module:
        """A part as a module of its own, with copies of the weights, in eval mode."""
        module = demote(extract(self.flow, self.spans[index]))
        own = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}
        for name, tensor in own.items():
            _put(module, name, tensor)
        return with_norms(module).eval()

    def chain(self) -> Chain:
        """The network as a chain of parts; its output equals the captured network's bit for bit."""
        blocks = {place.span for place in self.places}
        where = [index for index, span in enumerate(self.spans) if span in blocks]
        return Chain([self.part(index) for index in range(len(self.spans))], where).eval()

    def at_batch(self, batch: int) -> fx.GraphModule:
        """The graph for a number of images, every shape known, as it is compiled."""
        (entry,) = self.graph.graph.find_nodes(op="placeholder")
        return rebatched(self.graph, (batch, *map(int, g.shape(entry)[1:])))

    def region(self, slot: int, batch: int) -> fx.GraphModule:
        """The block of a slot alone, for a number of images."""
        graph = self.at_batch(batch)
        flow = Flow.of(graph)
        return extract(flow, self.located(flow, slot).span)

    def located(self, flow: Flow, slot: int) -> Place:
        """The block of a slot in another copy of the graph."""
        place = self.places[slot]
        at = {node.name: position for node, position in flow.position.items()}
        found = place_of(flow, Span(at[place.begin] + 1, at[place.end], place.name))
        assert isinstance(found, Place)
        return found

    @cached_property
    def digest(self) -> str:
        """A name for the network: equal ones compute the same, and have the same blocks."""
        digest = hashlib.sha256()
        for node in self.graph.graph.nodes:
            digest.update(f"{node.name} {node.op} {node.target} {node.args} {node.kwargs}\n".encode())
        for name, tensor in sorted(g.constants(self.graph)):
            digest.update(name.encode())
            digest.update(tensor.detach().contiguous().numpy().tobytes())
        return digest.hexdigest()


def captured_for(model: nn.Module | ExportedProgram, image: Sequence[int]) -> fx.GraphModule:
    """A network in the IR for images (C, H, W), loosened. Raises CompileError, SearchError."""
    shapes = parse_shapes([f"{INPUT}:{'x'.join(map(str, (BATCH, *image)))}"])
    program = isinstance(model, ExportedProgram)
    found = capture(model, shapes=None if program else shapes)
    takes, gives = [spec.name for spec in found.input_specs], g.signature(found.gm).output_names
    if len(takes) != 1 or len(gives) != 1:
        raise SearchError(
            "a network must take one tensor of images and give one result, "
            f"this one takes {', '.join(takes)} and gives {', '.join(gives)}"
        )
    _require_single_precision(found.gm)
    dims = found.input_specs[0].dims
    if len(dims) != 4 or any(isinstance(a, int) and a != b for a, b in zip(dims[1:], image, strict=True)):
        wanted, given = "x".join(map(str, image)), "x".join(map(str, dims[1:]))
        raise SearchError(f"the network must read images of {wanted}, this one reads {given}; set --resolution by it")
    renamed(found.gm, [INPUT], [OUTPUT])
    graph = loosened(rebatched(found.gm, (BATCH, *image)) if any(isinstance(d, str) for d in dims) else found.gm)
    graph = _at(graph, image)
    _require_independent(graph, found.gm, image, dims[0])
    return graph


def _at(graph: fx.GraphModule, image: Sequence[int]) -> fx.GraphModule:
    """Recorded values for BATCH images, shapes still open."""
    return loosened(rebatched(graph, (BATCH, *image)))


def _require_single_precision(graph: fx.GraphModule) -> None:
    for node in graph.graph.nodes:
        if node.op in ("placeholder", "get_attr") and g.dtype(node) in (torch.float16, torch.bfloat16):
            found = str(g.dtype(node)).removeprefix("torch.")
            raise SearchError(
                f"a network must be in float32 to be trained, but '{node.target}' is {found}; make it .float() first"
            )


def _require_independent(graph: fx.GraphModule, before: fx.GraphModule, image: Sequence[int], batch: object) -> None:
    """Raise SearchError unless each image gives what it gives alone or with others, in float64."""
    random = torch.Generator().manual_seed(0)
    images = torch.randn(ALIKE, *image, generator=random, dtype=torch.float64)
    wanted = "a network must treat every image by itself to be trained, but this one"
    bound = (
        f"{wanted} is bound to the batch size {batch} it was captured with; export it with a dynamic batch, or leave "
        "the batch out of shapes"
    )
    try:
        together = _logits(graph, images)
        alone = torch.cat([_logits(graph, one) for one in images[:, None]])
    except (RuntimeError, IndexError) as error:
        raise SearchError(bound) from error
    if together.shape != alone.shape:
        raise SearchError(bound)
    if not float((together - alone).abs().max()) <= 1e-3 * (float(together.abs().max()) or 1.0):
        raise SearchError(f"{wanted} mixes the images of a batch, as a batch norm without running statistics does")


def _logits(graph: fx.GraphModule, images: Tensor) -> Tensor:
    """What a graph in the IR computes."""
    with torch.no_grad():
        found: tuple[Tensor, ...] = fx.Interpreter(graph).run(images)
    return found[0]


def _put(module: nn.Module, name: str, tensor: Tensor) -> None:
    """A tensor of its own under a name: extracted graphs share their constants."""
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    if leaf in owner._parameters:
        owner._parameters[leaf] = nn.Parameter(tensor)
    else:
        owner._buffers[leaf] = tensor
