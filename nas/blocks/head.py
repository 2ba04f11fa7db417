"""Where networks end: from a feature map to class scores."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from nascc.nas.blocks.activations import activation
from nascc.nas.blocks.conv_norm import ConvNormAct
from nascc.nas.core.context import Ctx


class Head(nn.Module):
    """1x1 conv BN act, global average pooling, [linear BN act] per hidden size, dropout, linear: -> [N, c_out].

    The hidden layers have no bias.
    """

    def __init__(self, ctx: Ctx, channels: int, hidden: Sequence[int] = (), dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = ConvNormAct(ctx.c_in, channels, 1, act=ctx.activation)
        sizes = (channels, *hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), activation(ctx.activation)]
        self.features = nn.Sequential(*layers, nn.Dropout(dropout))
        self.classifier = nn.Linear(sizes[-1], ctx.c_out)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.conv(x).mean((2, 3))
        return self.classifier(self.features(pooled))  # type: ignore[no-any-return]
