"""What training for depths minimises and what tells how good depths are; pixels of unknown depth count nowhere."""

import torch
from torch import Tensor

from nascc.nas.errors import SearchError

FACTOR = 1.25
"""A depth is right within this factor of the true one (Eigen et al. 2014)."""


def depth_loss(outputs: Tensor, depths: Tensor) -> Tensor:
    """Mean of |output - depth| over known pixels, in metres (FastDepth); [N, 1, H, W] both, 0 is unknown.

    Zero for a batch without a known pixel. Raises SearchError when shapes differ.
    """
    known = _known(outputs, depths)
    return torch.where(known, (outputs - depths).abs(), 0.0).sum() / known.sum().clamp(min=1)


def depth_distillation(outputs: Tensor, taught: Tensor, weight: float) -> Tensor:
    """`weight` times the mean of |output - taught|, in metres, over all pixels: a teacher knows every depth.

    Raises SearchError when shapes differ.
    """
    if outputs.shape != taught.shape:
        raise SearchError(
            f"the teacher must give one depth a pixel, {list(outputs.shape)}, got {list(taught.shape)}; "
            "use a teacher for the same images"
        )
    return weight * (outputs - taught).abs().mean()


def depth_sums(outputs: Tensor, depths: Tensor) -> dict[str, Tensor]:
    """Sums over known pixels: squared errors in square metres, how many are within FACTOR, how many there are."""
    known = _known(outputs, depths)
    errors = torch.where(known, outputs - depths, 0.0).double()
    within = known & (outputs < FACTOR * depths) & (depths < FACTOR * outputs)
    return {"squared": errors.square().sum(), "within": within.sum(), "pixels": known.sum()}


def _known(outputs: Tensor, depths: Tensor) -> Tensor:
    """Where the true depth is known, [N, 1, H, W]."""
    if outputs.shape != depths.shape:
        raise SearchError(
            f"the network must give one depth a pixel, {list(depths.shape)}, got {list(outputs.shape)}; "
            "use one for dense regression whose sides divide the images'"
        )
    return depths > 0
