"""Walk a captured graph and write each node's ONNX operators."""

import math
import operator
from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload
from torch.fx import Node

from nascc.compiler.lowering.dtypes import ONNX_TYPE, cast
from nascc.compiler.lowering.layout import squeeze
from nascc.compiler.lowering.symbolic import lower_size, shape_of
from nascc.compiler.lowering.table import LOWERINGS, NEEDS
from nascc.compiler.lowering.unlowerable import Refusal, Unlowerable
from nascc.compiler.lowering.values import Drawn, Origin, Spec, Value
from nascc.compiler.lowering.writer import Writer

NOT_LOWERED = frozenset(
    ("dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking", "generator", "copy")
)
LARGEST_FOLDED = 1 << 20
aten = torch.ops.aten
SHAPE_ONLY = frozenset(
    (
        aten.zeros_like.default,
        aten.zero.default,
        aten.new_empty.default,
        aten.empty_like.default,
        aten.ones_like.default,
        aten.full_like.default,
        aten.new_zeros.default,
        aten.new_ones.default,
        aten.new_full.default,
        aten.fill.Scalar,
        aten.fill.Tensor,
    )
)
"""Calls that read nothing but the shape and type of their first argument."""
EMPTY = frozenset((aten.empty.memory_format, aten.new_empty.default, aten.empty_like.default))
"""Calls whose values are not defined; zeros are as good as any, and the same on every run."""

Result = Value | int | tuple["Value | None", ...] | None


def draw(gm: fx.GraphModule, opset: int) -> tuple[Drawn, list[Unlowerable]]:
    """The ONNX graph of a captured graph, and the nodes that have no ONNX form (then the graph is not usable)."""
    artist = _Artist(gm, opset)
    for node in gm.graph.nodes:
        artist.visit(node)
    return artist.drawn(), artist.problems


class _Artist:
    """Keeps the value of every node lowered so far, and what went wrong."""

    def __init__(self, gm: fx.GraphModule, opset: int) -> None:
        self.gm, self.w = gm, Writer(opset)
        self.values: dict[Node, Result] = {}
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.problems: list[Unlowerable] = []

    def drawn(self) -> Drawn:
        names = tuple(getattr(self.gm.meta.get("signature"), "output_names", ()))
        names += tuple(f"output_{i}" for i in range(len(names), len(self.outputs)))
        return Drawn(self.w.ops, self.inputs, self.outputs, names[: len(self.outputs)])

    def visit(self, node: Node) -> None:
        if node.op == "output":
            self.outputs = [self.values[n] for n in node.args[0]]  # type: ignore[misc, union-attr, index]
            return
        self.w.outs = _specs(node)
        self.w.origin = Origin(node.meta.get("module", ""), tuple(node.meta.get("sources", ())))
        try:
            self.values[node] = self._lowered(node)
        except Refusal as refusal:
            self.problems.append(Unlowerable.of(node, str(refusal)))
            self.values[node] = _placeholder(self.w, node)

    def _lowered(self, node: Node) -> Result:
        if unknown := [spec.dtype for spec in self.w.outs if spec.dtype not in ONNX_TYPE]:
            raise Refusal(f"gives values of type {unknown[0]}, which ONNX does not have")
        if node.op == "placeholder":
            return self._input(node)
        if node.op == "get_attr":
            return self.w.constant(_attribute(self.gm, str(node.target)), self.w.out.dtype, str(node.target))
        if node.op != "call_function":
            raise Refusal(f"is a {node.op} node; lowering takes graphs of ATen calls")
        return self._call(node)

    def _input(self, node: Node) -> Value:
        value = Value(self.w.out.dtype, self.w.out.shape, name=str(node.target))
        self.inputs.append(value)
        self.w.know_shape(value)
        return value

    def _call(self, node: Node) -> Result:
        if node.target is operator.getitem:
            return self._item(node)
        arguments = [self._lift(a) for a in node.args]
        if isinstance(node.meta.get("val"), (int, torch.SymInt)):
            return lower_size(self.w, node, arguments)
        named = {k: self._lift(v) for k, v in node.kwargs.items() if k not in NOT_LOWERED}
        if (folded := self._folded(node)) is not None:
            return folded
        result = _lowering(node, self.w.opset)(self.w, *arguments, **named)
        if isinstance(result, tuple):
            return tuple(None if v is None else self._settle(v, s) for v, s in zip(result, self.w.outs, strict=False))
        return self._settle(result, self.w.out)

    def _item(self, node: Node) -> Result:
        source, index = node.args
        values = self.values[source]  # type: ignore[index]
        chosen = values[index] if isinstance(values, tuple) else values  # type: ignore[index]
        if chosen is None:
            raise Refusal(f"uses result {index} of '{source}', which has no ONNX form")
        return chosen

    def _lift(self, argument: Any) -> Any:
        if isinstance(argument, Node):
            return self.values[argument]
        if isinstance(argument, (list, tuple)):
            return [self._lift(a) for a in argument]
        return argument

    def _folded(self, node: Node) -> Result:
        """The result of a call that has only constants to work on, computed now; None for other calls."""
        specs = self.w.outs
        if not isinstance(node.target, OpOverload) or _is_random(node.target):
            return None
        arguments = (_only_shape(node), *node.args[1:]) if node.target in SHAPE_ONLY else node.args
        if arguments[:1] == (None,) or not all(isinstance(d, int) for spec in specs for d in spec.shape):
            return None
        sources: list[Node] = []
        fx.map_arg((arguments, node.kwargs), sources.append)
        tensors = [t for n in sources if (t := self._tensor(n)) is not None]
        size = sum(math.prod(int(d) for d in spec.shape) for spec in specs)
        if len(tensors) < len(sources) or size > max(LARGEST_FOLDED, 4 * sum(t.numel() for t in tensors)):
            return None
        result = node.target(*fx.map_arg(arguments, self._tensor), **fx.map_arg(node.kwargs, self._tensor))
        if node.target in EMPTY:
            result = torch.zeros_like(result)
        if isinstance(result, torch.Tensor):
            return self.w.constant(result, specs[0].dtype, self._name(sources[0]) if len(sources) == 1 else "")
        return tuple(self.w.constant(t, spec.dtype) for t, spec in zip(result, specs, strict=True))

    def _tensor(self, node: Node) -> torch.Tensor | None:
        value = self.values[node]
        return value.tensor if isinstance(value, Value) else None

    def _name(self, node: Node) -> str:
        value = self.values[node]
        return value.name if isinstance(value, Value) else ""

    def _settle(self, value: Value, spec: Spec) -> Value:
        """The value with the recorded type and shape."""
        if value.shape == (1,) and spec.shape == ():
            value = squeeze(self.w, value, [0])
        if value.rank != len(spec.shape):
            raise AssertionError(f"lowering must give rank {len(spec.shape)}, got {value.shape} for {spec.shape}")
        value = cast(self.w, value, spec.dtype)
        if value.op is not None:
            value.shape = tuple(
                own if isinstance(own, int) else d for own, d in zip(value.shape, spec.shape, strict=True)
            )
            self.w.know_shape(value)
        return value


def _lowering(node: Node, opset: int) -> Any:
    if node.target not in LOWERINGS:
        raise Refusal("has no ONNX form in nascc")
    if opset < (lowest := NEEDS.get(node.target, 0)):
        raise Refusal(f"has an ONNX form from opset {lowest} on; substitute it or choose a higher opset")
    return LOWERINGS[node.target]


def _specs(node: Node) -> tuple[Spec, ...]:
    """Recorded type and shape of each tensor a node gives."""
    value, dtype = node.meta.get("val"), node.meta.get("dtype")
    if isinstance(value, torch.Tensor):
        return (Spec(dtype or value.dtype, shape_of(value)),)
    if not isinstance(value, (list, tuple)):
        return ()
    dtypes = dtype if isinstance(dtype, (list, tuple)) else [None] * len(value)
    pairs = zip(value, dtypes, strict=True)
    return tuple(Spec(d or v.dtype, shape_of(v)) for v, d in pairs if isinstance(v, torch.Tensor))


def _placeholder(w: Writer, node: Node) -> Result:
    """Stands for a value that could not be lowered, so that the walk finds the other such nodes too."""
    values = tuple(Value(spec.dtype, spec.shape) for spec in w.outs)
    if isinstance(node.meta.get("val"), (list, tuple)):
        return values
    return values[0] if values else w.ints([0])


def _attribute(gm: fx.GraphModule, target: str) -> torch.Tensor:
    value: Any = gm
    for part in target.split("."):
        value = getattr(value, part)
    return value.detach()  # type: ignore[no-any-return]


def _is_random(target: OpOverload) -> bool:
    return torch.Tag.nondeterministic_seeded in target.tags


def _only_shape(node: Node) -> torch.Tensor | None:
    """Stands for the first argument of a call that reads its shape and type alone; None if that shape is dynamic."""
    value = node.args[0].meta["val"]  # type: ignore[union-attr]
    if ".new_" in str(node.target):
        return torch.zeros((), dtype=value.dtype)
    if not all(isinstance(d, int) for d in value.shape):
        return None
    return torch.zeros((), dtype=value.dtype).expand(value.shape)
