"""Weights that no pass can take for anything special."""

import torch
from torch import nn


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Fill parameters and statistics with seeded random numbers, in place, and put the module into eval mode.

    Nothing then is zero, one, or equal to something else, so that nothing folds or merges that would not in a trained
    network.
    """
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.3, generator=random)
        for name, buffer in module.named_buffers():
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5, generator=random)
            elif buffer.is_floating_point():
                buffer.normal_(0, 0.3, generator=random)
    return module.eval()
