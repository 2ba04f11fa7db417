"""Own filters and bypassed input channels in one map, as fast as memory allows: what every masked layer ends with."""

from typing import Any

import torch
from torch import Tensor


def join(own: Tensor, source: Tensor, keep: Tensor, rest: Tensor, most: int, steps: tuple[slice, ...]) -> Tensor:
    """own * keep + source * rest, the latter on the first `most` channels at every so-many-th place.

    `own` [N, F, ...], `source` [N, C, ...], `keep` [n, F, 1, ...] and `rest` [n, most, 1, ...], numbers in the dtype of
    `own`; gradients reach the masks only where they ask for them.
    """
    if keep.requires_grad or rest.requires_grad:
        taken = source[(slice(None), slice(most), *steps)] * rest
        return own * keep + torch.nn.functional.pad(taken, _behind(own, most))
    return _Join.apply(own, source, keep, rest, most, steps)  # type: ignore[no-any-return, no-untyped-call]


def _behind(own: Tensor, most: int) -> list[int]:
    return [0, 0] * (own.ndim - 2) + [0, own.shape[1] - most]


class _Join(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, own: Tensor, source: Tensor, keep: Tensor, rest: Tensor, most: int, steps: tuple[slice, ...]
    ) -> Tensor:
        ctx.place = (slice(None), slice(most), *steps)
        ctx.most, ctx.shape, ctx.layout = most, source.shape, _layout(source)
        ctx.save_for_backward(keep, rest)
        out = own * keep
        out[:, :most].addcmul_(source[ctx.place], rest)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        keep, rest = ctx.saved_tensors
        own = gradient * keep if ctx.needs_input_grad[0] else None
        source = None
        if ctx.needs_input_grad[1]:
            source = torch.empty(
                ctx.shape, dtype=gradient.dtype, device=gradient.device, memory_format=ctx.layout
            ).zero_()
            source[ctx.place] = gradient[:, : ctx.most] * rest
        return own, source, None, None, None, None


def _layout(value: Tensor) -> torch.memory_format:
    last = value.ndim == 4 and value.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
