"""What is known of the values of an ONNX graph before it runs."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from onnx import GraphProto, NodeProto, TensorProto, numpy_helper

from nascc.compiler.schemas import Types, type_name
from nascc.runtime.runners.base import Array

SIZES = ("Shape", "Size")


@dataclass
class Known:
    """Number types of values, which are defined, which are constants, and which follow from sizes alone.

    `scopes` are the names that a body may read from outside. `tensors` are constants at hand; those of nodes that would
    have to be evaluated are constants all the same, but not at hand.
    """

    types: Types = field(default_factory=dict)
    defined: set[str] = field(default_factory=lambda: {""})
    constants: set[str] = field(default_factory=lambda: {""})
    static: set[str] = field(default_factory=lambda: {""})
    tensors: dict[str, TensorProto] = field(default_factory=dict)

    @classmethod
    def of(cls, graph: GraphProto, outer: "Known | None" = None) -> "Known":
        """What a graph says of its inputs and initialisers, and what is known outside of it."""
        known = cls() if outer is None else outer.copy()
        for value in graph.input:
            known.forget(value.name)
            if value.type.HasField("tensor_type") and value.type.tensor_type.elem_type:
                known.types[value.name] = type_name(value.type.tensor_type.elem_type)
            known.defined.add(value.name)
        for tensor in graph.initializer:
            known.add_constant(tensor.name, tensor)
        for sparse in graph.sparse_initializer:
            known.add_constant(sparse.values.name, None)
        return known

    def copy(self) -> "Known":
        return Known(dict(self.types), set(self.defined), set(self.constants), set(self.static), dict(self.tensors))

    def forget(self, name: str) -> None:
        """A body's own value hides the outer one of the same name."""
        self.types.pop(name, None)
        self.tensors.pop(name, None)
        self.constants.discard(name)
        self.static.discard(name)

    def add_constant(self, name: str, tensor: TensorProto | None) -> None:
        self.defined.add(name)
        self.constants.add(name)
        self.static.add(name)
        if tensor is not None:
            self.tensors[name] = tensor
            self.types[name] = type_name(tensor.data_type)

    def add(self, node: NodeProto, reads: Iterable[str]) -> None:
        """The outputs of a node; `reads` are the values that it reads, in its bodies too."""
        value = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant":
            for name in node.output:
                self.add_constant(name, value)
            return
        reads = list(reads)
        self.defined.update(node.output)
        if reads and all(name in self.constants for name in reads):
            self.constants.update(node.output)
        if node.op_type in SIZES or (reads and all(name in self.static for name in reads)):
            self.static.update(node.output)

    def numbers(self, name: str) -> Array | None:
        """The numbers of a constant at hand, None for all other values."""
        tensor = self.tensors.get(name)
        if tensor is None or tensor.data_location == TensorProto.EXTERNAL:
            return None
        return numpy_helper.to_array(tensor)
