"""The ONNX graph under construction: emits operators, shares literals, resolves dynamic sizes."""

from collections.abc import Sequence
from typing import Any

import torch

from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Dim, Op, Origin, Shape, Spec, Value


class Writer:
    """Collects operators for one operator set.

    While a node is lowered, `outs` holds the recorded type and shape of each of its results, `origin` its module.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.ops: list[Op] = []
        self.origin = Origin()
        self.outs: tuple[Spec, ...] = ()
        self._literals: dict[tuple[torch.dtype, tuple[int, ...], bytes], Value] = {}
        self._sizes: dict[str, Value] = {}
        self._places: dict[str, tuple[Value, int]] = {}
        self._views: dict[tuple[Value, Any], Value] = {}

    @property
    def out(self) -> Spec:
        """What the captured graph records of the (first) result."""
        return self.outs[0]

    def emit(
        self,
        kind: str,
        *inputs: Value | None,
        dtype: torch.dtype | None = None,
        shape: Shape | None = None,
        **attributes: Any,
    ) -> Value:
        """Add an operator with one result, by default of the type and shape recorded for the current node."""
        spec = Spec(self.out.dtype if dtype is None else dtype, self.out.shape if shape is None else shape)
        return self.emit_many(kind, *inputs, specs=(spec,), **attributes)[0]

    def emit_many(
        self, kind: str, *inputs: Value | None, specs: Sequence[Spec], **attributes: Any
    ) -> tuple[Value, ...]:
        """Add an operator with several results."""
        op = Op(kind, _without_trailing_none(inputs), attributes, self.origin)
        op.outputs = tuple(Value(spec.dtype, spec.shape, op) for spec in specs)
        self.ops.append(op)
        return op.outputs

    # constants

    def literal(self, value: Any, dtype: torch.dtype) -> Value:
        """A constant tensor of a few numbers, stored once for each type, shape and content."""
        tensor = torch.as_tensor(value).to(dtype).contiguous()
        key = (dtype, tuple(tensor.shape), tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
        if key not in self._literals:
            self._literals[key] = Value(dtype, key[1], tensor=tensor)
        return self._literals[key]

    def scalar(self, value: bool | int | float, dtype: torch.dtype) -> Value:
        """A constant of rank 0."""
        return self.literal(value, dtype)

    def ints(self, values: Sequence[int]) -> Value:
        """A constant int64 vector (axes, sizes, pads)."""
        return self.literal(torch.tensor(list(values), dtype=torch.int64), torch.int64)

    def empty(self) -> Value:
        """An empty float vector: the filler that old operator sets ask for."""
        return self.literal(torch.zeros(0), torch.float32)

    def constant(self, tensor: torch.Tensor, dtype: torch.dtype, name: str = "") -> Value:
        """A parameter or other large constant, written in `dtype`."""
        return Value(dtype, tuple(tensor.shape), tensor=tensor, name=name)

    def view(self, value: Value, key: Any, tensor: torch.Tensor) -> Value:
        """A constant derived from another one, made once per (constant, key), that keeps its name."""
        if (value, key) not in self._views:
            self._views[value, key] = Value(value.dtype, tuple(tensor.shape), tensor=tensor, name=value.name)
        return self._views[value, key]

    # sizes known only at run time: int64 vectors with one element

    def know_size(self, expression: str, size: Value) -> None:
        """Remember which value computes a dynamic size."""
        self._sizes.setdefault(expression, size)

    def know_shape(self, value: Value) -> None:
        """Remember where dynamic sizes can be read."""
        for axis, dim in enumerate(value.shape):
            if isinstance(dim, str):
                self._places.setdefault(dim, (value, axis))

    def size(self, dim: Dim, near: Value | None = None) -> Value:
        """A size as a one-element int64 vector: a literal, a known expression, or read from the shape of `near`."""
        if isinstance(dim, int):
            return self.ints([dim])
        if dim not in self._sizes:
            self._sizes[dim] = self._read_size(dim, near)
        return self._sizes[dim]

    def _read_size(self, dim: str, near: Value | None) -> Value:
        if dim in self._places:
            return self._size_of(*self._places[dim])
        if near is not None and dim in near.shape:
            return self._size_of(near, near.shape.index(dim))
        raise Refusal(f"needs the dynamic size {dim}, which no shape at hand holds")

    def _size_of(self, value: Value, axis: int) -> Value:
        one: Shape = (1,)
        if self.opset >= 15:
            return self.emit("Shape", value, dtype=torch.int64, shape=one, start=axis, end=axis + 1)
        return self.emit("Gather", self._shape_of(value), self.ints([axis]), dtype=torch.int64, shape=one, axis=0)

    def _section(self, dims: tuple[Dim | Value, ...]) -> Value | None:
        """Several dynamic sizes that stand side by side in one shape, read at once."""
        first = dims[0] if dims else None
        if self.opset < 15 or len(dims) < 2 or not isinstance(first, str) or first not in self._places:
            return None
        value, axis = self._places[first]
        end = axis + len(dims)
        if dims != value.shape[axis:end] or not all(isinstance(d, str) for d in dims):
            return None
        return self.emit("Shape", value, dtype=torch.int64, shape=(len(dims),), start=axis, end=end)

    def _shape_of(self, value: Value) -> Value:
        if (value, "shape") not in self._views:
            self._views[value, "shape"] = self.emit("Shape", value, dtype=torch.int64, shape=(value.rank,))
        return self._views[value, "shape"]

    def sizes(self, dims: Sequence[Dim | Value], near: Value | None = None) -> Value:
        """A whole shape as an int64 vector; neighbouring numbers become one literal."""
        if near is not None and tuple(dims) == near.shape and sum(isinstance(d, str) for d in near.shape) > 1:
            return self._shape_of(near)
        if (section := self._section(tuple(dims))) is not None:
            return section
        parts: list[Value | list[int]] = []
        for dim in dims:
            if not isinstance(dim, int):
                parts.append(dim if isinstance(dim, Value) else self.size(dim, near))
            elif parts and isinstance(parts[-1], list):
                parts[-1].append(dim)
            else:
                parts.append([dim])
        values = [self.ints(part) if isinstance(part, list) else part for part in parts]
        if len(values) <= 1:
            return values[0] if values else self.ints([])
        return self.emit("Concat", *values, dtype=torch.int64, shape=(len(dims),), axis=0)


def _without_trailing_none(inputs: tuple[Value | None, ...]) -> tuple[Value | None, ...]:
    n = len(inputs)
    while n and inputs[n - 1] is None:
        n -= 1
    return inputs[:n]
