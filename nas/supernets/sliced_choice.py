"""A searched block whose operators are slices of one superkernel."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nascc.nas.blocks.activations import activation
from nascc.nas.blocks.mbconv import MBConv
from nascc.nas.blocks.operators import MBConvOp
from nascc.nas.core.context import Ctx
from nascc.nas.core.slot import Op
from nascc.nas.supernets.choice import Choice, SeparateChoice, like
from nascc.nas.supernets.sliced_norm import SlicedBatchNorm


class SlicedChoice(Choice):
    """The inverted bottlenecks of a slot share weights: the first channels, and the centre of the kernel.

    expand [C_hid, C_in, 1, 1], depthwise [C_hid, 1, K, K], project [C_out, C_hid, 1, 1] have the size of the largest
    operator, and so have the batch norms: with norms of its own for each operator a supernet learns half as fast.
    Statistics are mixed over operators, so recalibrate what is extracted. Operators that can not be slices (skips,
    groups, squeeze-and-excitation, no expansion) are separate.
    """

    def __init__(self, ops: Sequence[Op], ctx: Ctx) -> None:
        super().__init__()
        self.ops, self.ctx = tuple(ops), ctx
        sliced = {k: op.make for k, op in enumerate(ops) if _is_slice(op)}
        self.sliced = {k: make for k, make in sliced.items() if isinstance(make, MBConvOp)}
        self.apart = tuple(k for k in range(len(ops)) if k not in self.sliced)
        self.separate = SeparateChoice([ops[k] for k in self.apart], ctx)
        hidden = max(self._hidden(k) for k in self.sliced)
        kernel = max(op.kernel for op in self.sliced.values())
        largest = MBConv(ctx, kernel, hidden / ctx.c_in)
        self.expand, self.depthwise, self.project = (weight for weight in _weights(largest))
        self.norms = nn.ModuleList(SlicedBatchNorm(channels) for channels in (hidden, hidden, ctx.c_out))
        self.activation = activation(ctx.activation)

    def run(self, x: Tensor, index: int) -> Tensor:
        if index not in self.sliced:
            return self.separate.run(x, self.apart.index(index))
        first, second, third = self.norms
        expand, depthwise, project = self.slices(index)
        stride, pad = self.ctx.stride, depthwise.shape[-1] // 2
        y: Tensor = self.activation(first(F.conv2d(x, expand)))
        y = F.conv2d(y, depthwise, stride=stride, padding=pad, groups=len(depthwise))
        y = third(F.conv2d(self.activation(second(y)), project))
        return x + y if self.ctx.keeps_shape else y

    def extract(self, index: int) -> nn.Module:
        if index not in self.sliced:
            return self.separate.extract(self.apart.index(index))
        block = cast(MBConv, like(self, self.ops[index].make(self.ctx)))
        with torch.no_grad():
            for weight, trained in zip(_weights(block), self.slices(index), strict=True):
                weight.copy_(trained)
        for norm, shared in zip(_norms_of(block), self.norms, strict=True):
            norm.load_state_dict(cast(SlicedBatchNorm, shared).first(norm.num_features))
        return block

    def slices(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """The weights of an operator: expand, depthwise, project."""
        hidden, kernel = self._hidden(index), self.sliced[index].kernel
        margin = (self.depthwise.shape[-1] - kernel) // 2
        centre = slice(margin, margin + kernel)
        return self.expand[:hidden], self.depthwise[:hidden, :, centre, centre], self.project[:, :hidden]

    def _hidden(self, index: int) -> int:
        return round(self.ctx.c_in * self.sliced[index].expansion)


def can_slice(ops: Sequence[Op]) -> bool:
    """Whether at least two of the operators are slices of one superkernel."""
    return sum(map(_is_slice, ops)) >= 2


def _is_slice(op: Op) -> bool:
    return isinstance(op.make, MBConvOp) and op.make.groups == 1 and not op.make.se and op.make.expansion != 1


def _weights(block: MBConv) -> tuple[nn.Parameter, ...]:
    convs = [part for part in block.modules() if isinstance(part, nn.Conv2d)]
    return tuple(cast(nn.Parameter, conv.weight) for conv in convs)


def _norms_of(block: MBConv) -> list[nn.BatchNorm2d]:
    return [part for part in block.modules() if isinstance(part, nn.BatchNorm2d)]
