"""Walk a captured graph and write each node's ONNX operators."""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload
from torch.fx import Node

from nascc.compiler.lowering.dtypes import ONNX_TYPE, cast
from nascc.compiler.lowering.evaluate import evaluate
from nascc.compiler.lowering.layout import squeeze
from nascc.compiler.lowering.symbolic import lower_size, shape_of
from nascc.compiler.lowering.table import LOWERINGS, NEEDS
from nascc.compiler.lowering.unlowerable import Refusal, Unlowerable
from nascc.compiler.lowering.values import Drawn, Origin, Spec, Value
from nascc.compiler.lowering.writer import Writer
from nascc.passes.substitute import RULES

RECORDED = frozenset(("dtype", "layout", "device", "pin_memory", "memory_format", "non_blocking", "generator", "copy"))
"""Arguments that lowerings do not get: the recorded type says it, or it means nothing in ONNX."""

UNFORESEEN = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)
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
            self._refuse(node, str(refusal))
        except UNFORESEEN as error:
            self._refuse(node, f"is called in a way that nascc does not foresee ({type(error).__name__}: {error})")

    def _refuse(self, node: Node, reason: str) -> None:
        """Note what is wrong; a stand-in lets the walk find the other such nodes too."""
        self.problems.append(Unlowerable.of(node, reason))
        values = tuple(Value(spec.dtype, spec.shape) for spec in self.w.outs)
        several = isinstance(node.meta.get("val"), (list, tuple))
        self.values[node] = values if several else values[0] if values else self.w.ints([0])

    def _lowered(self, node: Node) -> Result:
        if unknown := [spec.dtype for spec in self.w.outs if spec.dtype not in ONNX_TYPE]:
            raise Refusal(f"gives values of type {unknown[0]}, which ONNX does not have")
        if node.op == "placeholder":
            return self._input(node)
        if node.op == "get_attr":
            return self.w.constant(_attribute(self.gm, str(node.target)), self.w.out.dtype, str(node.target))
        if node.op != "call_function":
            raise Refusal(f"is a {node.op} node; lowering takes graphs of ATen calls")
        return self._item(node) if node.target is operator.getitem else self._call(node)

    def _input(self, node: Node) -> Value:
        value = Value(self.w.out.dtype, self.w.out.shape, name=str(node.target))
        self.inputs.append(value)
        self.w.know_shape(value)
        return value

    def _item(self, node: Node) -> Result:
        source, index = node.args
        values = self.values[source]  # type: ignore[index]
        chosen = values[index] if isinstance(values, tuple) else values  # type: ignore[index]
        if chosen is None:
            raise Refusal(f"uses result {index} of '{source}', which has no ONNX form")
        return chosen

    def _call(self, node: Node) -> Result:
        positional, named = _arguments(node)
        arguments = [self._lift(a) for a in positional]
        if isinstance(node.meta.get("val"), (int, torch.SymInt)):
            return lower_size(self.w, node, arguments)
        if (evaluated := evaluate(node, self.w.outs, self._tensor)) is not None:
            return self._constants(node, *evaluated)
        options = {k: self._lift(v) for k, v in named.items() if k not in RECORDED}
        result = _lowering(node, self.w.opset)(self.w, *arguments, **options)
        if isinstance(result, tuple):
            pairs = zip(result, self.w.outs, strict=False)
            return tuple(None if value is None else self._settle(value, spec) for value, spec in pairs)
        value = self._settle(result, self.w.out)
        value.users = max(value.users, len(node.users))
        return value

    def _constants(self, node: Node, tensors: tuple[torch.Tensor, ...], sources: list[Node]) -> Result:
        """Computed constants; one made from one parameter keeps its name."""
        only = self.values[sources[0]] if len(sources) == len(tensors) == 1 else None
        name = only.name if isinstance(only, Value) else ""
        values = tuple(self.w.constant(t, spec.dtype, name) for t, spec in zip(tensors, self.w.outs, strict=True))
        return values if isinstance(node.meta["val"], (list, tuple)) else values[0]

    def _lift(self, argument: Any) -> Any:
        if isinstance(argument, Node):
            return self.values[argument]
        if isinstance(argument, (list, tuple)):
            return [self._lift(a) for a in argument]
        return argument

    def _tensor(self, node: Node) -> torch.Tensor | None:
        value = self.values[node]
        return value.tensor if isinstance(value, Value) else None

    def _settle(self, value: Value, spec: Spec) -> Value:
        """The value with the recorded type and shape."""
        if value.shape == (1,) and spec.shape == ():
            value = squeeze(self.w, value, [0])
        if value.rank != len(spec.shape):
            raise AssertionError(f"the result must have rank {len(spec.shape)}, found shape {value.shape}")
        value = cast(self.w, value, spec.dtype)
        if value.op is not None:
            dims = zip(value.shape, spec.shape, strict=True)
            value.shape = tuple(own if isinstance(own, int) else recorded for own, recorded in dims)
            self.w.know_shape(value)
        return value


def _arguments(node: Node) -> tuple[list[Any], dict[str, Any]]:
    """Positional and named arguments, as the operator's schema tells them apart."""
    positional, named = list(node.args), dict(node.kwargs)
    if not isinstance(node.target, OpOverload):
        return positional, named
    for argument in node.target._schema.arguments[len(positional) :]:
        if argument.kwarg_only or not named:
            break
        positional.append(named.pop(argument.name, argument.default_value))
    return positional, named


def _lowering(node: Node, opset: int) -> Callable[..., Any]:
    if node.target not in LOWERINGS:
        raise Refusal("has no ONNX form in nascc")
    if opset < (lowest := NEEDS.get(node.target, 0)):
        has_rule = any(node.target in rule.targets for rule in RULES.values())
        advice = "substitute it or choose" if has_rule else "no substitution avoids it, so choose"
        raise Refusal(f"has an ONNX form from opset {lowest} on; {advice} a target that reads that opset")
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


def _attribute(gm: fx.GraphModule, target: str) -> torch.Tensor:
    value: Any = gm
    for part in target.split("."):
        value = getattr(value, part)
    return value.detach()  # type: ignore[no-any-return]
