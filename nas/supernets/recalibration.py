"""Batch norm statistics that fit one architecture: those of a supernet are mixed from all of its paths."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@torch.no_grad()
def recalibrate(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running statistics of every batch norm by their average over `batches` [N, C, H, W].

    Nothing else changes; the module is left in the mode it was in.
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm)]
    modes = {part: part.training for part in module.modules()}
    momenta = {norm: norm.momentum for norm in norms}
    module.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over the batches
        norm.train()
    for images in batches:
        module(images)
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    for part, training in modes.items():
        part.training = training
