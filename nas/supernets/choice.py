"""One searched block of a supernet: it can run any of its operators, and the others stay untouched."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nascc.nas.core.context import Ctx
from nascc.nas.core.slot import Op


class Choice(nn.Module, ABC):
    """The operators of a slot, in one place: [N, C_in, H, W] -> [N, C_out, H / stride, W / stride]."""

    @abstractmethod
    def run(self, x: Tensor, index: int) -> Tensor:
        """What operator `index` makes of `x`; nothing else runs."""

    @abstractmethod
    def extract(self, index: int) -> nn.Module:
        """Operator `index` alone, with copies of its weights and statistics."""

    def mix(self, x: Tensor, coefficients: Tensor) -> Tensor:
        """The sum of the operators with a non-zero coefficient [C], each scaled by it; zeros if there is none.

        Operators that are scaled by one, where no gradient is asked of the coefficient, run as they are.
        """
        chosen = [k for k, value in enumerate(coefficients.tolist()) if value != 0]
        if not chosen:
            return torch.zeros_like(self.run(x, 0))
        terms = [_scaled(self.run(x, k), coefficients[k]) for k in chosen]
        return torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]

    def split(self, x: Tensor, indices: Tensor) -> Tensor:
        """Each image [N] by its own operator; images of one operator form one batch."""
        parts = {k: (indices == k).nonzero()[:, 0] for k in sorted(set(indices.tolist()))}
        outputs = torch.cat([self.run(x[rows], k) for k, rows in parts.items()])
        return outputs[torch.cat(list(parts.values())).argsort()]


def like(reference: nn.Module, module: nn.Module) -> nn.Module:
    """`module` in the precision and on the device of `reference`."""
    first = next(reference.parameters(), None)
    return module if first is None else module.to(first.device, first.dtype)


def _scaled(y: Tensor, coefficient: Tensor) -> Tensor:
    return y * coefficient if coefficient.requires_grad or float(coefficient) != 1 else y


class SeparateChoice(Choice):
    """Every operator has weights of its own."""

    def __init__(self, ops: Sequence[Op], ctx: Ctx) -> None:
        super().__init__()
        self.ops, self.ctx = tuple(ops), ctx
        self.operators = nn.ModuleList(op.make(ctx) for op in ops)

    def run(self, x: Tensor, index: int) -> Tensor:
        return self.operators[index](x)  # type: ignore[no-any-return]

    def extract(self, index: int) -> nn.Module:
        copied = like(self.operators[index], self.ops[index].make(self.ctx))
        copied.load_state_dict(self.operators[index].state_dict())
        return copied
