"""A non-linearity on its way to the identity."""

import torch
from torch import Tensor, nn

from nascc.nas.blocks.activations import activation


class HybridActivation(nn.Module):
    """Act(x) + slope * (x - Act(x)): the activation at slope 0, the identity at 1 (DW-NAS, Eq. 12).

    At 1 it still rounds where Act saturates (6 + (x - 6)), and a compiler sees an expression: put an identity in its
    place then. `slope` is a buffer, a scalar, so that checkpoints hold it.
    """

    slope: Tensor

    def __init__(self, name: str, slope: float = 0.0) -> None:
        super().__init__()
        self.activation = activation(name, inplace=False)
        self.register_buffer("slope", torch.tensor(slope))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(x)
        return y + self.slope * (x - y)
