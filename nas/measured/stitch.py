"""Emit networks of a space by the thousand: every block is lowered once, networks are put together from the parts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from onnx import GraphProto, ModelProto, NodeProto, helper
from torch import nn

from nascc.compiler.compile import compile
from nascc.nas.core import Arch
from nascc.nas.core.randomness import derive
from nascc.nas.costs.described import DescribedSpace
from nascc.nas.costs.describer import name_of
from nascc.nas.costs.random_weights import randomise
from nascc.runtime.kernels import Kernel

Choice = tuple[int, int]
"""(place, operator)."""
Group = tuple[Choice, ...]
"""Neighbours that the compiler's passes act on together, lowered as one."""
INPUT, OUTPUT = "images", "scores"


@dataclass(frozen=True)
class Fragment:
    """A lowered group: nodes that read SOURCE and write `result`, and weights as the bytes of a partial model."""

    nodes: tuple[NodeProto, ...]
    weights: bytes
    result: str


SOURCE = "\0source"
"""What a fragment's input is called until it is known what stands before."""


@dataclass
class Stitcher:
    """Networks with seeded random weights, in the deployment of a described space.

    A stitched network is what compiling it whole gives: blocks between which a pass would act are lowered together.
    """

    described: DescribedSpace
    seed: int = 0
    lowered: int = 0
    """How many groups were compiled so far."""
    _fragments: dict[Group, Fragment] = field(default_factory=dict)
    _models: dict[str, ModelProto] = field(default_factory=dict)

    def emit(self, arch: Arch) -> bytes:
        """The ONNX model of an architecture, serialised. Raises CompileError, IllegalArchitecture."""
        fragments = [self._fragment(group) for group in self.groups(arch)]
        graph, value = GraphProto(), INPUT
        for index, fragment in enumerate(fragments):
            result = OUTPUT if index == len(fragments) - 1 else fragment.result
            names = {SOURCE: value, fragment.result: result}
            for node in fragment.nodes:
                _renamed(graph.node.add(), node, names)
            value = result
        head = ModelProto()
        head.CopyFrom(self._head())
        head.graph.MergeFrom(graph)
        # the serialised parts of a message, one after the other, are the message
        return b"".join([head.SerializeToString(), *(fragment.weights for fragment in fragments)])

    def module(self, arch: Arch) -> nn.Sequential:
        """The same network in PyTorch, with the same weights."""
        return nn.Sequential(*(self._block(choice) for choice in self._choices(arch)))

    def groups(self, arch: Arch) -> Iterator[Group]:
        """The blocks of a network in order, identities left out, neighbours that passes act on together."""
        group: Group = ()
        for choice in self._choices(arch):
            if self.described.own[choice[0]][choice[1]].identity:
                continue
            if group and not self._acts(group[-1], choice):
                yield group
                group = ()
            group = (*group, choice)
        yield group

    def _choices(self, arch: Arch) -> list[Choice]:
        arch = self.described.space.check(arch)
        return [(i, 0 if p.slot is None else arch[p.slot]) for i, p in enumerate(self.described.space.places)]

    def _acts(self, before: Choice, after: Choice) -> bool:
        """Does compiling both together give other kernels than compiling each?"""
        pairs = self.described.junctions.get((before[0], after[0]), {})
        chain = pairs.get((before[1], after[1]))
        if chain is None:
            return False
        return _counted(chain.kernels) != sum(
            (_counted(d.kernels) for d in self.described.describer.apart(chain)), Counter[Kernel]()
        )

    def _fragment(self, group: Group) -> Fragment:
        if group not in self._fragments:
            self._fragments[group] = self._renamed_model(group)
        return self._fragments[group]

    def _renamed_model(self, group: Group) -> Fragment:
        model, prefix = self._model(group), self.described.space.places[group[0][0]].name
        graph = model.graph
        inner = {name: f"{prefix}/{name}" for node in graph.node for name in node.output}
        inner |= {tensor.name: f"{prefix}/{tensor.name}" for tensor in graph.initializer}
        names = inner | {graph.input[0].name: SOURCE}
        nodes = []
        for node in graph.node:
            _renamed(made := NodeProto(), node, names)
            made.name = f"{prefix}/{node.name}"
            nodes.append(made)
        weights = ModelProto()
        for tensor in graph.initializer:
            copy = weights.graph.initializer.add()
            copy.CopyFrom(tensor)
            copy.name = names[tensor.name]
        return Fragment(tuple(nodes), weights.SerializeToString(), names[graph.output[0].name])

    def _model(self, group: Group) -> ModelProto:
        """The ONNX model of a group; equal groups in other places have the same."""
        pieces = [self.described.piece(choice) for choice in group]
        key = " | ".join(map(name_of, pieces))
        if key not in self._models:
            self.lowered += 1
            place = self.described.deployment
            module = nn.Sequential(*map(self._block, group))
            compiled = compile(
                module, shapes=[place.shape(pieces[0][1].shape)], target=place.target, power_mode=place.power_mode,
                opset=place.opset, collapse=place.collapse, verify=False,
            )  # fmt: skip
            self._models[key] = compiled.onnx
        return self._models[key]

    def _block(self, choice: Choice) -> nn.Module:
        op, ctx = self.described.piece(choice)
        return randomise(op.make(ctx), derive(self.seed, "stitched", name_of((op, ctx))))

    def _head(self) -> ModelProto:
        """What is not nodes and weights: versions, input, output."""
        example = next(iter(self._models.values()))
        space, batch = self.described.space, self.described.deployment.batch
        kind = example.graph.input[0].type.tensor_type.elem_type
        ends = [
            helper.make_tensor_value_info(INPUT, kind, [batch, *space.input_shape]),
            helper.make_tensor_value_info(OUTPUT, kind, [batch, space.classes]),
        ]
        graph = helper.make_graph([], "network", ends[:1], ends[1:])
        return helper.make_model(graph, opset_imports=list(example.opset_import), ir_version=example.ir_version)


def _counted(kernels: Sequence[Kernel]) -> Counter[Kernel]:
    found: Counter[Kernel] = Counter()
    for kernel in kernels:
        found[replace(kernel, name="", count=1)] += kernel.count
    return found


def _renamed(made: NodeProto, node: NodeProto, names: dict[str, str]) -> None:
    """A copy of a node whose values have other names."""
    made.CopyFrom(node)
    for values in (made.input, made.output):
        for position, name in enumerate(values):
            values[position] = names.get(name, name)
