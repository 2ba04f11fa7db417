"""What may be said of a kernel without looking at its taps one by one."""

from itertools import product

import torch
from torch import Tensor

EXACT = 1e-13
"""Two vectors closer than this, relative to the larger of them, are the same up to rounding."""


def same(a: Tensor, b: Tensor) -> bool:
    """Are two tensors of one shape equal up to rounding?"""
    scale = max(float(a.abs().max()), float(b.abs().max())) if a.numel() else 0.0
    return bool(((a - b).abs() <= EXACT * scale).all())


def gain_of(kernel: Tensor, offsets: tuple[tuple[int, ...], ...], up: tuple[int, ...]) -> Tensor | None:
    """Response of `kernel` [O, I, *taps] to a constant input, [O, I]; None when it differs from pixel to pixel.

    Between stuffed zeros a pixel sees the taps of one phase only: all phases must have the same sum.
    """
    if all(u == 1 for u in up):
        return kernel.reshape(*kernel.shape[:2], -1).sum(-1)
    phases = [_phase(kernel, offsets, up, phase) for phase in product(*(range(u) for u in up))]
    return phases[0] if all(same(p, phases[0]) for p in phases[1:]) else None


def _phase(kernel: Tensor, offsets: tuple[tuple[int, ...], ...], up: tuple[int, ...], phase: tuple[int, ...]) -> Tensor:
    for dim, (taps, u, p) in enumerate(zip(offsets, up, phase, strict=True), start=2):
        kept = [k for k, tap in enumerate(taps) if tap % u == p]
        kernel = kernel.index_select(dim, torch.tensor(kept, dtype=torch.long))
    return kernel.reshape(*kernel.shape[:2], -1).sum(-1) if kernel.numel() else kernel.new_zeros(kernel.shape[:2])


def support_of(kernel: Tensor) -> Tensor:
    """Which outputs of `kernel` [O, I, *taps] read which inputs, [O, I] booleans."""
    return (kernel != 0).reshape(*kernel.shape[:2], -1).any(-1)
