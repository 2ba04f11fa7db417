"""Networks of inverted residuals written as tables: MobileNetV3, and the initial networks of NetAdaptV2."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from nascc.nas.blocks.conv_norm import ConvNorm, ConvNormAct
from nascc.nas.zoo.blocks import SqueezeExcitation

EPS = 1e-3
"""What batch norms of MobileNetV3 add to the variance."""

RE, HS = "relu", "hard_swish"


@dataclass(frozen=True)
class Row:
    """One inverted residual: depthwise kernel, channels between, channels out, those of squeeze-and-excitation or 0."""

    kernel: int
    expanded: int
    out: int
    squeezed: int = 0
    act: str = RE
    stride: int = 1


@dataclass(frozen=True)
class Table:
    """Stem of 3x3, rows, a 1x1 convolution to `last`, global pooling, a layer to `hidden` (0: none), classifier.

    `hidden_conv`: the hidden layer is a 1x1 convolution, else a linear layer; neither has a batch norm.
    `always_expands`: also where nothing is added to the channels.
    """

    stem: int
    rows: tuple[Row, ...]
    last: int
    hidden: int = 0
    hidden_conv: bool = True
    always_expands: bool = True


class InvertedResidual(nn.Module):
    """Expand, filter each channel, squeeze and excite, project; the input is added where shapes allow.

    [N, C_in, H, W] -> [N, C_out, ceil(H / stride), ceil(W / stride)].
    """

    def __init__(self, c_in: int, row: Row, expands: bool) -> None:
        super().__init__()
        hidden = row.expanded
        layers: list[nn.Module] = [ConvNormAct(c_in, hidden, 1, act=row.act, eps=EPS)] if expands else []
        layers.append(ConvNormAct(hidden, hidden, row.kernel, row.stride, groups=hidden, act=row.act, eps=EPS))
        if row.squeezed:
            layers.append(SqueezeExcitation(hidden, row.squeezed, nn.ReLU, nn.Hardsigmoid))
        self.block = nn.Sequential(*layers, ConvNorm(hidden, row.out, 1, eps=EPS))
        self.residual = row.stride == 1 and c_in == row.out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.residual else y


class MobileNetV3(nn.Module):
    """Images [N, C, H, W] -> logits [N, num_classes] (Howard et al. 2019)."""

    def __init__(self, table: Table, in_channels: int, num_classes: int) -> None:
        super().__init__()
        widths = [table.stem, *(row.out for row in table.rows)]
        self.features = nn.Sequential(
            ConvNormAct(in_channels, table.stem, stride=2, act=HS, eps=EPS),
            *(_block(c_in, row, table) for c_in, row in zip(widths, table.rows, strict=False)),
            ConvNormAct(widths[-1], table.last, 1, act=HS, eps=EPS),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(*_classifier(table, num_classes))
        self.flattens = not table.hidden or not table.hidden_conv

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(x.flatten(1) if self.flattens else x)  # type: ignore[no-any-return]


def _block(c_in: int, row: Row, table: Table) -> InvertedResidual:
    return InvertedResidual(c_in, row, table.always_expands or row.expanded != c_in)


def _classifier(table: Table, num_classes: int) -> Sequence[nn.Module]:
    """What follows the pooled [N, C, 1, 1] for a convolution, [N, C] otherwise."""
    ends = nn.Dropout(0.2), nn.Linear(table.hidden or table.last, num_classes)
    if not table.hidden:
        return ends
    if table.hidden_conv:
        return nn.Conv2d(table.last, table.hidden, 1), nn.Hardswish(inplace=True), nn.Flatten(), *ends
    return nn.Linear(table.last, table.hidden), nn.Hardswish(inplace=True), *ends
