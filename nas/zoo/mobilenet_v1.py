"""MobileNetV1: separable convolutions one after another, and nothing else."""

from torch import Tensor, nn

from nascc.nas.blocks.conv_norm import ConvNormAct
from nascc.nas.zoo.blocks import SeparableConv
from nascc.nas.zoo.mobilenet_v2 import multiple_of_8
from nascc.nas.zoo.options import Channels, Classes, Seed, Width
from nascc.nas.zoo.seeding import seeded

STEM = 32
# (channels, stride) of each separable convolution
LAYERS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *((512, 1),) * 5, (1024, 2), (1024, 1))


def separable_layers(c_in: int, stem: int, layers: tuple[tuple[int, int], ...]) -> nn.Sequential:
    """A 3x3 convolution of stride 2 to `stem` channels, then one separable convolution for each (channels, stride)."""
    parts: list[nn.Module] = [ConvNormAct(c_in, stem, stride=2, act="relu")]
    widths = [stem, *(channels for channels, _ in layers)]
    parts += [SeparableConv(width, c, stride=s) for width, (c, s) in zip(widths, layers, strict=False)]
    return nn.Sequential(*parts)


class MobileNetV1(nn.Module):
    """Images [N, C, H, W] -> logits [N, num_classes]; H and W of at least 32 (Howard et al. 2017, Table 1)."""

    def __init__(self, width: float, in_channels: int, num_classes: int) -> None:
        super().__init__()
        layers = tuple((multiple_of_8(channels * width), stride) for channels, stride in LAYERS)
        self.features = separable_layers(in_channels, multiple_of_8(STEM * width), layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(layers[-1][0], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))  # type: ignore[no-any-return]


def mobilenet_v1(
    width: Width = 1.0,
    in_channels: Channels = 3,
    num_classes: Classes = 1000,
    seed: Seed = 0,
) -> nn.Module:
    """MobileNetV1 with seeded weights; `width` multiplies every channel count."""
    return seeded(lambda: MobileNetV1(width, in_channels, num_classes), seed, (4, in_channels, 96, 96))
