"""Batch norms of a captured graph as modules, so that they can train, use batch statistics and be recalibrated."""

import torch
from torch import Tensor, fx, nn
from torch.fx import Node
from torch.nn.modules.batchnorm import _BatchNorm

from nascc.passes import graph as g

aten = torch.ops.aten
FIELDS = ("weight", "bias", "running_mean", "running_var")
FOLDER = "norms"


class Norm(_BatchNorm):
    """Batch norm over [N, C, ...]; `constants` are the names its tensors have in the captured graph, by field."""

    def __init__(self, channels: int, eps: float, momentum: float, affine: bool) -> None:
        super().__init__(channels, eps, momentum, affine)
        self.constants: dict[str, str] = {}

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of dimensions: the graph knows."""


def with_norms(module: fx.GraphModule) -> fx.GraphModule:
    """The module itself, a demoted graph of one tensor: every batch norm of its own numbers is a `Norm` now.

    In eval mode it computes the same bits as before.
    """
    _plain_call(module)
    count = 0
    for node in module.graph.find_nodes(op="call_function", target=aten.batch_norm.default):
        if (norm := _norm_of(module, node)) is None:
            continue
        name, count = f"{FOLDER}_{count}", count + 1
        module.add_submodule(name, norm)
        with module.graph.inserting_before(node):
            call = module.graph.call_module(name, (node.args[0],))
        call.meta = dict(node.meta)
        node.replace_all_uses_with(call)
        module.graph.erase_node(node)
    module.graph.eliminate_dead_code()
    for name in g.unused_constants(module):
        if not name.startswith(FOLDER):
            g.delete_constant(module, name)
    for name in _unused_parameters(module):
        module.get_submodule(name.rpartition(".")[0])._parameters.pop(name.rpartition(".")[2])
    module.recompile()
    return module


def constants_of(module: nn.Module) -> dict[str, Tensor]:
    """The tensors of a part of a teacher by the names they have in the captured graph."""
    norms = {name: part for name, part in module.named_modules() if isinstance(part, Norm)}
    found = {
        part.constants[field]: value
        for part in norms.values()
        for field in FIELDS
        if isinstance(value := getattr(part, field), Tensor)
    }
    own = {n: t for n, t in module.state_dict().items() if n.rpartition(".")[0] not in norms}
    return own | found


def _plain_call(module: fx.GraphModule) -> None:
    """Take and give a tensor without the machinery for nested values, which is slow to copy."""
    (output,) = module.graph.find_nodes(op="output")
    values = output.args[0]
    output.args = (values[0] if isinstance(values, (list, tuple)) else values,)
    module.graph.set_codegen(fx.graph.CodeGen())
    module.meta.clear()


def _norm_of(module: fx.GraphModule, node: Node) -> Norm | None:
    """None where numbers are shared with other calls, computed, or batch statistics are meant."""
    _, weight, bias, mean, var, training, momentum, eps, *_ = node.args
    tensors = dict(zip(FIELDS, (weight, bias, mean, var), strict=True))
    held = [n for n in tensors.values() if n is not None]
    own = all(isinstance(n, Node) and n.op == "get_attr" and len(n.users) == 1 for n in held)
    if training or mean is None or var is None or (weight is None) != (bias is None) or not own:
        return None
    values = {field: _tensor(module, str(n.target)) for field, n in tensors.items() if isinstance(n, Node)}
    norm = Norm(values["running_mean"].numel(), float(eps), float(momentum), weight is not None)  # type: ignore[arg-type]
    norm.to(values["running_mean"].dtype)
    with torch.no_grad():
        for field, value in values.items():
            getattr(norm, field).copy_(value)
    norm.constants = {field: str(n.target) for field, n in tensors.items() if isinstance(n, Node)}
    return norm.eval()


def _tensor(module: fx.GraphModule, name: str) -> Tensor:
    return g.get_constant(module, name).detach()


def _unused_parameters(module: fx.GraphModule) -> list[str]:
    used = {str(n.target) for n in module.graph.nodes if n.op == "get_attr"}
    return [n for n, _ in module.named_parameters() if n not in used and not n.startswith(FOLDER)]
