"""Sizes known only at run time: their expressions as text, and the arithmetic on them."""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.fx import Node

from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Dim, Shape, Value
from nascc.compiler.lowering.writer import Writer


def dim_of(size: int | torch.SymInt) -> Dim:
    """A size as a number, or as the text of its expression."""
    if isinstance(size, int):
        return size
    expression = size.node.expr
    return int(expression) if expression.is_number else str(expression)


def shape_of(tensor: torch.Tensor) -> Shape:
    """The shape of a fake tensor."""
    return tuple(dim_of(size) for size in tensor.shape)


def lower_size(w: Writer, node: Node, operands: Sequence[int | Value]) -> int | Value:
    """A node whose result is a size: a number, or an int64 vector with one element."""
    dim = dim_of(node.meta["val"])
    if isinstance(dim, int):
        return dim
    value = _compute(w, node, operands, dim)
    w.know_size(dim, value)
    return value


def _compute(w: Writer, node: Node, operands: Sequence[int | Value], dim: str) -> Value:
    try:
        return w.size(dim, near=operands[0] if isinstance(operands[0], Value) else None)
    except Refusal:
        pass
    if node.target not in ARITHMETIC:
        raise Refusal("computes a size in a way that has no ONNX form")
    return ARITHMETIC[node.target](w, node, *(v if isinstance(v, Value) else w.ints([v]) for v in operands))


def _simple(kind: str) -> Callable[..., Value]:
    def lowering(w: Writer, node: Node, a: Value, b: Value) -> Value:
        return _size(w, kind, a, b)

    return lowering


def _floor_division(w: Writer, node: Node, a: Value, b: Value) -> Value:
    """ONNX rounds towards zero; what may be negative is first brought down to a multiple."""
    if not all(_never_negative(argument) for argument in node.args):
        a = _size(w, "Sub", a, _size(w, "Mod", a, b))
    return _size(w, "Div", a, b)


def _never_negative(argument: Any) -> bool:
    value = argument.meta["val"] if isinstance(argument, Node) else argument
    return value >= 0 if isinstance(value, int) else bool(value.node.expr.is_nonnegative)


def _size(w: Writer, kind: str, a: Value, b: Value) -> Value:
    return w.emit(kind, a, b, dtype=torch.int64, shape=(1,))


def _negative(w: Writer, node: Node, a: Value) -> Value:
    return w.emit("Neg", a, dtype=torch.int64, shape=(1,))


def _maximum(w: Writer, node: Node, a: Value, b: Value) -> Value:
    return _extremum(w, "Max", a, b)


def _minimum(w: Writer, node: Node, a: Value, b: Value) -> Value:
    return _extremum(w, "Min", a, b)


def _extremum(w: Writer, kind: str, a: Value, b: Value) -> Value:
    if w.opset < 12:
        raise Refusal("compares sizes, which ONNX has from opset 12 on")
    return _size(w, kind, a, b)


ARITHMETIC: dict[Any, Callable[..., Value]] = {
    operator.add: _simple("Add"),
    operator.sub: _simple("Sub"),
    operator.mul: _simple("Mul"),
    operator.floordiv: _floor_division,
    operator.mod: _simple("Mod"),
    operator.neg: _negative,
    torch.sym_max: _maximum,
    torch.sym_min: _minimum,
}
