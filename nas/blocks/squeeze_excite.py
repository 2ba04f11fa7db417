"""Squeeze-and-excitation: each channel is scaled by a gate that all channels decide together."""

from torch import Tensor, nn

REDUCTION = 4


class SqueezeExcite(nn.Module):
    """x -> x * sigmoid(W2 relu(W1 mean(x))): shape [N, C, H, W]; C / 4 hidden channels (LightNAS, Table 4)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // REDUCTION)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.expand(nn.functional.relu(self.reduce(x.mean((2, 3), keepdim=True))))
        return x * gate.sigmoid()
