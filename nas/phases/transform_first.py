"""Transform first, train afterwards: the collapsed network with fresh weights, which DW-NAS is compared with."""

from typing import cast

import torch
from torch import Tensor, nn

from nascc.compiler import compile
from nascc.nas.blocks.dense_conv import DenseConv
from nascc.nas.blocks.linear_mbconv import LinearMBConv
from nascc.nas.blocks.operators import DenseOp, LinearOp, operator
from nascc.nas.core import Arch
from nascc.nas.errors import SearchError
from nascc.nas.macro import Macro
from nascc.nas.spaces import MacroSpace
from nascc.passes.views import Conv


def collapsed_macro(macro: Macro, arch: Arch, norm: bool = False) -> tuple[Macro, Arch]:
    """The macro and the architecture with one dense convolution in the place of every linear block.

    Raises SearchError for a linear block without its last activation.
    """
    names = [_collapsed(name, norm) for name in MacroSpace(macro, 1).name_of(arch).split()]
    own = macro.model_copy(update={"operators": tuple(dict.fromkeys((*macro.operators, *names)))})
    return own, MacroSpace(own, 1).parse(" ".join(names))


def start_collapsed(dense: nn.Sequential, linear: nn.Sequential) -> nn.Sequential:
    """Fill `dense` with what `linear`, of the same macro and untrained, has and collapses to; returns `dense`."""
    with torch.no_grad():
        for (_, part), (_, origin) in zip(dense.named_children(), linear.named_children(), strict=True):
            if isinstance(part, DenseConv) and isinstance(origin, LinearMBConv):
                conv = cast(nn.Conv2d, part[0])
                weight, bias = collapsed(origin)
                conv.weight.copy_(weight)
                if conv.bias is not None:
                    conv.bias.copy_(bias)
            else:
                part.load_state_dict(origin.state_dict())
    return dense


def collapsed(block: LinearMBConv) -> tuple[Tensor, Tensor]:
    """The one convolution that a linear block is: weight [C_out, C_in, k, k] and bias [C_out], in float64."""
    shape = "x".join(map(str, (1, *block.ctx.shape)))
    training = block.training
    graph = compile(block.eval(), shapes=[f"x:{shape}"], collapse="always", verify=False, lower=False).graph
    block.train(training)
    (conv,) = (found for node in graph.graph.nodes if (found := Conv.of(node)) is not None)
    return conv.weight, conv.bias_or_zeros


def _collapsed(name: str, norm: bool) -> str:
    made = operator(name).make
    if not isinstance(made, LinearOp):
        return name
    if not made.last:
        raise SearchError(f"an operator must end with its activation to be collapsed before training, got '{name}'")
    return DenseOp(made.kernel, norm).name
