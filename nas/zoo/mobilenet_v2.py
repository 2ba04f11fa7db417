"""MobileNetV2, with the structure and the parameter names of torchvision."""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from nascc.nas.blocks.conv_norm import ConvNormAct
from nascc.nas.zoo.blocks import InvertedResidual
from nascc.nas.zoo.seeding import seeded

# (expand ratio, channels, blocks, stride of the first block) of each stage
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class MobileNetV2(nn.Module):
    """Images [N, 3, H, W] -> logits [N, num_classes]; H and W of at least 32."""

    def __init__(self, width: float, num_classes: int) -> None:
        super().__init__()
        channels, last = multiple_of_8(32 * width), multiple_of_8(1280 * max(1.0, width))
        layers: list[nn.Module] = [ConvNormAct(3, channels, stride=2)]
        for expand_ratio, c_out, blocks, first_stride in STAGES:
            for stride in (first_stride, *[1] * (blocks - 1)):
                layers.append(InvertedResidual(channels, multiple_of_8(c_out * width), stride, expand_ratio))
                channels = multiple_of_8(c_out * width)
        self.features = nn.Sequential(*layers, ConvNormAct(channels, last, kernel=1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(x.flatten(1))  # type: ignore[no-any-return]


def multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, at least 8, and never more than 10 % below."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def mobilenet_v2(
    width: Annotated[float, Field(gt=0, le=8)] = 1.0,
    num_classes: Annotated[int, Field(ge=1, le=100_000)] = 1000,
    seed: Annotated[int, Field(ge=0)] = 0,
) -> nn.Module:
    """MobileNetV2 with seeded weights; `width` multiplies every channel count."""
    return seeded(lambda: MobileNetV2(width, num_classes), seed)
