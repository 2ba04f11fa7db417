"""What the writer can not express: one record per node, and the error that lists them all."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch.fx import Node

from nascc.compiler.errors import UnsupportedByTarget


@dataclass(frozen=True)
class Unlowerable:
    """A node with no ONNX form at the operator set asked for."""

    node: str
    target: str
    module: str
    reason: str

    @classmethod
    def of(cls, node: Node, reason: str) -> "Unlowerable":
        """The record of a graph node."""
        return cls(node.name, str(node.target), node.meta.get("module", ""), reason)

    def __str__(self) -> str:
        where = f" in '{self.module}'" if self.module else ""
        return f"{self.target} '{self.node}'{where}: {self.reason}"


class CanNotLower(UnsupportedByTarget):
    """Some nodes of a graph have no ONNX form; `nodes` lists all of them."""

    def __init__(self, opset: int, nodes: Sequence[Unlowerable]) -> None:
        self.opset, self.nodes = opset, tuple(nodes)
        listed = "; ".join(str(node) for node in self.nodes)
        super().__init__(
            f"every operator must have an ONNX form at opset {opset}, {len(self.nodes)} have none: {listed}"
        )


class Refusal(Exception):
    """Raised inside a lowering: this call has no ONNX form, for the reason given."""
