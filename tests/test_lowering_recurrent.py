"""Recurrent layers stay whole: one ONNX operator a layer, whatever the direction, depth or initial state."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from lowering_kit import Fn, agree, capture, checked, kinds, values, write
from nascc.compiler.lowering import can_lower

X = values(2, 3, 4)
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "both directions": {"bidirectional": True, "batch_first": True},
    "stacked": {"num_layers": 2, "bias": False},
    "stacked both directions": {"num_layers": 2, "bidirectional": True},
}
pytestmark = pytest.mark.filterwarnings("ignore:The tensor attributes .*_flat_weights:UserWarning")


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("opset", [11, 20])
def test_agrees_with_eager(kind: type[nn.RNNBase], options: dict[str, Any], opset: int) -> None:
    module = kind(4, 5, **options)  # type: ignore[call-arg]
    model = checked(write(capture(module, [X]), opset))
    assert kinds(model)[kind.__name__] == options.get("num_layers", 1)
    agree(module, model, [X])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_given_states(kind: type[nn.RNNBase]) -> None:
    def call(layer: nn.Module, x: Tensor, h: Tensor, c: Tensor) -> Any:
        return layer(x, (h, c) if kind is nn.LSTM else h)

    module = Fn(call, kind(4, 5, num_layers=2, bidirectional=True))  # type: ignore[call-arg]
    inputs = [X, values(4, 3, 5), values(4, 3, 5, seed=9)]
    agree(module, checked(write(capture(module, inputs))), inputs)


def test_rectified() -> None:
    module = nn.RNN(4, 5, nonlinearity="relu")
    agree(module, checked(write(capture(module, [X]))), [X])


def test_dynamic_batch() -> None:
    module = nn.LSTM(4, 5, batch_first=True, bidirectional=True)
    model = checked(write(capture(module, [X], {0: Dim("N", min=1, max=16)})))
    agree(module, model, [values(5, 3, 4)])


def test_projections_are_refused() -> None:
    (found,) = can_lower(capture(nn.LSTM(4, 5, proj_size=2), [X]), 20)
    assert "projects the hidden state" in found.reason


def test_a_module_of_cells_is_unrolled() -> None:
    module = Fn(lambda cell, x: cell(x[0], torch.zeros(3, 5)), nn.GRUCell(4, 5))
    agree(module, checked(write(capture(module, [X]))), [X])
