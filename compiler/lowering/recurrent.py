"""Recurrent layers: LSTM, GRU and the plain one, stacked and in both directions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from nascc.compiler.lowering.layout import reshape, squeeze, transpose
from nascc.compiler.lowering.pieces import concat, slice_axis
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Spec, Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten


@dataclass(frozen=True)
class Cell:
    """A kind of cell: its ONNX operator, the order of ONNX's gates among torch's, further attributes."""

    kind: str
    gates: tuple[int, ...]
    options: tuple[tuple[str, Any], ...] = ()


LSTM = Cell("LSTM", (0, 3, 1, 2))
GRU = Cell("GRU", (1, 0, 2), (("linear_before_reset", 1),))
PLAIN = {kind: Cell("RNN", (0,), (("activations", [kind]),)) for kind in ("Tanh", "Relu")}


@dataclass(frozen=True)
class Layers:
    """What torch passes to every recurrent layer, with the initial states as a list."""

    states: Sequence[Value]
    weights: Sequence[Value]
    biased: bool
    count: int
    directions: int

    def of(self, layer: int) -> list[list[torch.Tensor]]:
        """Weights of one layer, one list for each direction: input, recurrent, and biases if there are any."""
        each = 4 if self.biased else 2
        if len(self.weights) != each * self.count * self.directions:
            raise Refusal("projects the hidden state, which ONNX can not")
        if any(v.tensor is None for v in self.weights):
            raise Refusal("computes its recurrent weights")
        start = layer * self.directions * each
        tensors = [v.tensor for v in self.weights[start : start + self.directions * each] if v.tensor is not None]
        return [tensors[i : i + each] for i in range(0, len(tensors), each)]


def recurrent(
    cell: Cell,
    w: Writer,
    x: Value,
    states: Sequence[Value] | Value,
    weights: Sequence[Value],
    biased: bool,
    count: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Value, ...]:
    """x [time, batch, in] (or batch first) -> the last layer's [time, batch, directions * hidden], and last states."""
    first = [states] if isinstance(states, Value) else list(states)
    layers = Layers(first, weights, biased, count, 2 if bidirectional else 1)
    x = transpose(w, x, [1, 0, 2]) if batch_first else x
    last: list[tuple[Value, ...]] = []
    for layer in range(count):
        x, *ends = _layer(cell, w, x, layers, layer)
        last.append(tuple(ends))
    result = transpose(w, x, [1, 0, 2]) if batch_first else x
    return result, *(concat(w, list(parts), 0, first[0].shape) for parts in zip(*last, strict=True))


def _layer(cell: Cell, w: Writer, x: Value, layers: Layers, layer: int) -> tuple[Value, ...]:
    n, sets = layers.directions, layers.of(layer)
    hidden = int(sets[0][1].shape[1])
    packed = [_packed(cell, w, [s[k] for s in sets], x.dtype) for k in (0, 1)]
    bias = _biases(cell, w, sets, x.dtype) if layers.biased else None
    starts = [_start(w, state, layer * n, n) for state in layers.states]
    time, batch, _ = x.shape
    end = Spec(x.dtype, (n, batch, hidden))
    specs = (Spec(x.dtype, (time, n, batch, hidden)), *[end] * len(layers.states))
    direction = "bidirectional" if n == 2 else "forward"
    options = {name: value * n if name == "activations" else value for name, value in cell.options}
    every, *ends = w.emit_many(
        cell.kind, x, *packed, bias, None, *starts, specs=specs, hidden_size=hidden, direction=direction, **options
    )
    if n == 1:
        return squeeze(w, every, [1]), *ends
    return reshape(w, transpose(w, every, [0, 2, 1, 3]), (time, batch, n * hidden), near=x), *ends


def _packed(cell: Cell, w: Writer, tensors: Sequence[torch.Tensor], dtype: torch.dtype) -> Value:
    """One weight of each direction with the gates in ONNX's order, [directions, gates * hidden, ...]."""
    return w.constant(torch.stack([_reordered(cell, t) for t in tensors]), dtype)


def _biases(cell: Cell, w: Writer, sets: Sequence[Sequence[torch.Tensor]], dtype: torch.dtype) -> Value:
    rows = [torch.cat([_reordered(cell, s[2]), _reordered(cell, s[3])]) for s in sets]
    return w.constant(torch.stack(rows), dtype)


def _reordered(cell: Cell, tensor: torch.Tensor) -> torch.Tensor:
    gates = tensor.chunk(len(cell.gates))
    return torch.cat([gates[k] for k in cell.gates])


def _start(w: Writer, state: Value, first: int, n: int) -> Value | None:
    """The initial state of one layer; zero is what ONNX takes when there is none."""
    if state.tensor is not None and not state.tensor.any():
        return None
    if (op := state.made_by("ConstantOfShape")) and not op.attributes["value"].any():
        return None
    return slice_axis(w, state, 0, first, first + n, 1, n)


LOWERINGS: dict[Any, Any] = {
    aten.lstm.input: partial(recurrent, LSTM),
    aten.gru.input: partial(recurrent, GRU),
    aten.rnn_tanh.input: partial(recurrent, PLAIN["Tanh"]),
    aten.rnn_relu.input: partial(recurrent, PLAIN["Relu"]),
}
