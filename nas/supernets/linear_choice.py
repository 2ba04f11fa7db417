"""A searched block whose linear operators share the superkernel of the others."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nascc.nas.blocks.linear_mbconv import LinearMBConv, constant_response
from nascc.nas.blocks.operators import LinearOp, operator
from nascc.nas.core.context import Ctx
from nascc.nas.core.slot import Op
from nascc.nas.supernets.choice import Choice, like
from nascc.nas.supernets.sliced_choice import SlicedChoice, can_slice
from nascc.nas.supernets.sliced_norm import SlicedBatchNorm


class LinearChoice(Choice):
    """A linear operator uses the weights of the operator with activations of equal kernel and expansion.

    What the two make of an image differs in scale, so that linear operators have batch norms of their own, one set for
    all of them. Everything else is a SlicedChoice.
    """

    def __init__(self, ops: Sequence[Op], ctx: Ctx) -> None:
        super().__init__()
        self.ops, self.ctx = tuple(ops), ctx
        self.linear = {k: op.make for k, op in enumerate(ops) if isinstance(op.make, LinearOp)}
        self.shared = SlicedChoice([_twin(op) for op in ops], ctx)
        hidden = len(self.shared.expand)
        self.norms = nn.ModuleList(SlicedBatchNorm(channels) for channels in (hidden, hidden, ctx.c_out))

    def run(self, x: Tensor, index: int) -> Tensor:
        if index not in self.linear:
            return self.shared.run(x, index)
        first, second, third = (cast(SlicedBatchNorm, norm) for norm in self.norms)
        expand, depthwise, project = self.shared.slices(index)
        op, border = self.linear[index], [depthwise.shape[-1] // 2] * 4
        if op.padding == "first":
            y = first(F.conv2d(F.pad(x, border), expand))
        else:
            y = first(F.conv2d(x, expand))
            around = constant_response(first, len(expand))
            y = F.pad(y - around, border) + around
        y = second(F.conv2d(y, depthwise, stride=self.ctx.stride, groups=len(depthwise)))
        y = third(F.conv2d(y, project))
        y = x + y if self.ctx.keeps_shape else y
        return self.shared.activation(y) if op.last else y  # type: ignore[no-any-return]

    def extract(self, index: int) -> nn.Module:
        if index not in self.linear:
            return self.shared.extract(index)
        block = cast(LinearMBConv, like(self, self.ops[index].make(self.ctx)))
        assert block.expand is not None
        parts = (block.expand, block.depthwise, block.project)
        for part, trained, shared in zip(parts, self.shared.slices(index), self.norms, strict=True):
            conv, norm = cast(nn.Conv2d, part[0]), cast(nn.BatchNorm2d, part[1])
            with torch.no_grad():
                conv.weight.copy_(trained)
            norm.load_state_dict(cast(SlicedBatchNorm, shared).first(norm.num_features))
        return block


def can_share(ops: Sequence[Op]) -> bool:
    """Whether there are linear operators, all of them slices of one superkernel that others share."""
    linear = [op.make for op in ops if isinstance(op.make, LinearOp)]
    return bool(linear) and all(op.expansion != 1 for op in linear) and can_slice([_twin(op) for op in ops])


def _twin(op: Op) -> Op:
    """The operator with activations of equal kernel and expansion."""
    return operator(f"k{op.make.kernel}e{op.make.expansion:g}") if isinstance(op.make, LinearOp) else op
