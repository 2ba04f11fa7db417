"""What rounding leaves where a sum is zero."""

import torch
from torch import Tensor

CANCELLED = 1e-13
"""A sum smaller than this part of its terms is rounding, not a value."""
ULPS = 1e-15
"""So is one smaller than this part of the largest terms beside it: its own terms may have been sums that cancelled."""


def without_residue(total: Tensor, magnitude: Tensor) -> Tensor:
    """`total`, zero where it is rounding only; `magnitude` is the sum of the absolute values of its terms.

    So a shift that is taken away and given back leaves a bias of zero, not one of 1e-17 with a border of its own.
    """
    if not total.numel():
        return total
    largest = torch.where(magnitude.isfinite(), magnitude, 0.0).amax()
    return torch.where(total.abs() <= torch.maximum(CANCELLED * magnitude, ULPS * largest), 0.0, total)
