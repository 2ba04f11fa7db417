"""Small networks, captured and lowered, and ways to damage what was lowered."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import onnx
import torch
from onnx import ModelProto, numpy_helper
from torch import Tensor, nn

from nascc.compiler.capture import Captured, capture
from nascc.compiler.lowering import lower
from nascc.compiler.reference import Reference
from nascc.compiler.shapes import parse_shapes


class Net(nn.Module):
    """conv, norm, relu, conv, pooling, head: [N, 3, 16, 16] -> [N, 5]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.body = nn.Conv2d(8, 6, 3, padding=1)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.sigmoid(self.body(x)).mean((2, 3))
        return self.head(x)  # type: ignore[no-any-return]


class Function(nn.Module):
    """A linear layer [K, K] and whatever `function(layer, x)` does with it."""

    def __init__(self, function: Callable[[nn.Linear, Tensor], Any], size: int = 16) -> None:
        super().__init__()
        self.layer, self.function = nn.Linear(size, size), function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.layer, x)


def captured(model: nn.Module, *shapes: str, seed: int = 0) -> Captured:
    """A model with seeded weights, captured."""
    torch.manual_seed(seed)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.3)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return capture(model.eval(), shapes=parse_shapes(shapes))


@cache
def net(shape: str = "x:Nx3x16x16") -> tuple[Captured, Reference]:
    """The network above, captured, and its reference."""
    made = captured(Net(), shape)
    return made, Reference.of(made)


def lowered(network: Captured, opset: int = 17) -> ModelProto:
    """The ONNX model of the captured graph as it is."""
    return lower(network.gm, opset=opset, input_dims={s.name: s.dims for s in network.input_specs})


def nudged(model: ModelProto, name: str, change: Callable[[np.ndarray], Any]) -> ModelProto:
    """A copy in which `change` was applied to one initializer."""
    copy = ModelProto.FromString(model.SerializeToString())
    (tensor,) = [t for t in copy.graph.initializer if t.name == name]
    array = numpy_helper.to_array(tensor).copy()
    tensor.CopyFrom(numpy_helper.from_array(np.asarray(change(array), array.dtype), name))
    return copy


def add_to_first(amount: float) -> Callable[[np.ndarray], np.ndarray]:
    """Adds to the first element."""

    def change(array: np.ndarray) -> np.ndarray:
        array.flat[0] += amount
        return array

    return change


def on_output(model: ModelProto, op: str, *more: onnx.TensorProto, **attributes: Any) -> ModelProto:
    """A copy with one more operator between the first output and the user."""
    copy = ModelProto.FromString(model.SerializeToString())
    name = copy.graph.output[0].name
    for node in copy.graph.node:
        node.output[:] = ["inner" if n == name else n for n in node.output]
    copy.graph.initializer.extend(more)
    copy.graph.node.append(
        onnx.helper.make_node(op, ["inner", *(t.name for t in more)], [name], name=f"extra/{op.lower()}", **attributes)
    )
    return copy


def with_original(network: Captured, call: Callable[..., tuple[Tensor, ...]]) -> Captured:
    """The same graph, said to come from another original."""
    return replace(network, module_call=call)
