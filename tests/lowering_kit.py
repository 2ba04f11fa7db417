"""Lower small modules and compare what onnxruntime makes of them with eager PyTorch."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import ModelProto
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from nascc.compiler.lint import check_model, check_waste
from nascc.compiler.lowering import lower
from nascc.compiler.substitutions import rules_for
from nascc.passes import SubstituteOperators, from_exported, run_pass
from nascc.passes import graph as g
from nascc.runtime.profile import ir_version_of


class Fn(nn.Module):
    """A function over layers and inputs, as a module."""

    def __init__(self, call: Callable[..., Any], *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.call = call

    def forward(self, *inputs: Tensor) -> Any:
        return self.call(*self.layers, *inputs)


@dataclass(frozen=True)
class Case:
    """A module, its inputs, and the first operator set that can express it."""

    module: nn.Module
    inputs: tuple[Tensor, ...]
    since: int = 11
    rtol: float = 2e-5


def values(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Normally distributed numbers, the same on every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape))).to(dtype)


def capture(module: nn.Module, inputs: Sequence[Tensor], *dynamic: dict[int, Any]) -> fx.GraphModule:
    """The module as a graph in the IR, with no pass applied; `dynamic` names the open sizes of each input."""
    shapes = ((dynamic,) if isinstance(module, Fn) else dynamic) if dynamic else None
    program = torch.export.export(module.eval(), tuple(inputs), dynamic_shapes=shapes, strict=False)
    return from_exported(program)


def write(gm: fx.GraphModule, opset: int = 20, **options: Any) -> ModelProto:
    """The model of a graph, after the substitutions its opset needs; nothing in it may be amiss."""
    own = g.copy_graph(gm)
    run_pass(SubstituteOperators(rules_for(opset)), own)
    model = lower(own, opset=opset, **options)
    assert check_model(model, opset=opset, ir_version=ir_version_of(opset)) == []
    assert check_waste(model) == []
    return model


def execute(model: ModelProto, inputs: Sequence[Tensor]) -> list[np.ndarray]:
    """The outputs of a model in onnxruntime."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [v.name for v in model.graph.input]
    return session.run(None, {name: x.numpy() for name, x in zip(names, inputs, strict=True)})


def agree(module: nn.Module, model: ModelProto, inputs: Sequence[Tensor], rtol: float = 2e-5) -> None:
    """Shapes, types and numbers of every output as in eager PyTorch."""
    with torch.no_grad():
        expected = [v for v in pytree.tree_leaves(module(*inputs)) if isinstance(v, Tensor)]
    found = execute(model, inputs)
    assert [(v.shape, v.dtype) for v in found] == [(tuple(v.shape), v.numpy().dtype) for v in expected]
    for a, b in zip(found, expected, strict=True):
        scale = float(b.abs().nan_to_num(0, 0, 0).max()) if b.is_floating_point() and b.numel() else 0.0
        np.testing.assert_allclose(a, b.numpy(), rtol=rtol, atol=rtol * max(scale, 1e-3))


def kinds(model: ModelProto) -> dict[str, int]:
    """How often each ONNX operator occurs."""
    return dict(Counter(node.op_type for node in model.graph.node))


def checked(model: ModelProto) -> ModelProto:
    """The model, after ONNX's own full check."""
    onnx.checker.check_model(model, full_check=True)
    return model
