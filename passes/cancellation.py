"""What rounding leaves where a sum is zero."""

import torch
from torch import Tensor

CANCELLED = 1e-13
"""A sum smaller than this part of its terms is rounding, not a value."""


def without_residue(total: Tensor, magnitude: Tensor) -> Tensor:
    """`total`, zero where it is rounding only; `magnitude` is the sum of the absolute values of its terms.

    So a shift that is taken away and given back leaves a bias of zero, not one of 1e-17 with a border of its own.
    """
    return torch.where(total.abs() <= CANCELLED * magnitude, 0.0, total)
