"""Averaged weights: an exponential moving average that starts fast."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def build_ema(module: nn.Module, decay: float) -> AveragedModel:
    """A copy of `module` whose parameters and batch norm statistics follow it by `update_parameters`.

    After n updates the decay is the smaller of `decay` and n / (n + 9), so that early weights are forgotten.
    """

    def average(averaged: Sequence[Tensor], current: Sequence[Tensor], updates: Tensor | int) -> None:
        kept = min(decay, (done := int(updates)) / (done + 9))
        for mean, value in zip(averaged, current, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value.to(mean.dtype), 1 - kept)
            else:
                mean.copy_(value)

    return AveragedModel(module, multi_avg_fn=average, use_buffers=True)


@torch.no_grad()
def copy_averages(ema: AveragedModel, module: nn.Module) -> None:
    """Put the averages into `module`."""
    module.load_state_dict(ema.module.state_dict())
