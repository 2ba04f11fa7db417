"""Weights of a small network as a part of those of the large one, so that the next smaller one can take them over."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nascc.nas.regions.norms import constants_of


@torch.no_grad()
def carried(large: Mapping[str, Tensor], small: nn.Module) -> dict[str, Tensor]:
    """The numbers of the large network, by their names in its graph, with those that `small` has instead.

    Small tensors are the first filters and inputs, and the centres of kernels, of large ones.
    """
    found = dict(large)
    for name, value in constants_of(small).items():
        if name not in large:
            continue
        whole = large[name].clone()
        place = tuple(
            slice((full - size) // 2, (full - size) // 2 + size) if axis > 1 else slice(size)
            for axis, (full, size) in enumerate(zip(whole.shape, value.shape, strict=True))
        )
        whole[place] = value.detach().to(whole.dtype)
        found[name] = whole
    return found
