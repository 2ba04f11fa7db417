"""EfficientNet-B0 to B6, with the structure and the parameter names of torchvision."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from nascc.nas.zoo.blocks import SqueezeExcitation
from nascc.nas.zoo.mobilenet_v2 import multiple_of_8
from nascc.nas.zoo.seeding import seeded

# (expansion, kernel, stride of the first block, channels, blocks) of each stage of B0
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
STEM = 32
IMAGES = (16, 3, 96, 96)
"""What seeding runs: enough for statistics of the last maps."""
Classes = Annotated[int, Field(ge=1, le=100_000)]
Seed = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Variant:
    """How B0 is scaled: widths, depths, side of the images; dropout before the classifier, epsilon of batch norms."""

    width: float
    depth: float
    side: int
    dropout: float
    eps: float = 1e-5


VARIANTS = {
    "efficientnet_b0": Variant(1.0, 1.0, 224, 0.2),
    "efficientnet_b1": Variant(1.0, 1.1, 240, 0.2),
    "efficientnet_b2": Variant(1.1, 1.2, 260, 0.3),
    "efficientnet_b3": Variant(1.2, 1.4, 300, 0.3),
    "efficientnet_b4": Variant(1.4, 1.8, 380, 0.4),
    "efficientnet_b5": Variant(1.6, 2.2, 456, 0.4, 1e-3),
    "efficientnet_b6": Variant(1.8, 2.6, 528, 0.5, 1e-3),
}


class MBConv(nn.Module):
    """Expand, filter each channel, squeeze and excite, project; the input is added where shapes allow."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, expansion: int, eps: float) -> None:
        super().__init__()
        hidden = c_in * expansion
        layers: list[nn.Module] = [_layer(c_in, hidden, 1, 1, eps)] if expansion > 1 else []
        layers.append(_layer(hidden, hidden, kernel, stride, eps, groups=hidden))
        layers.append(SqueezeExcitation(hidden, max(1, c_in // 4), nn.SiLU, nn.Sigmoid))
        layers.append(_layer(hidden, c_out, 1, 1, eps, activates=False))
        self.block = nn.Sequential(*layers)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x)
        return x + y if self.residual else y


class EfficientNet(nn.Module):
    """Images [N, 3, H, W] -> logits [N, num_classes]."""

    def __init__(self, variant: Variant, num_classes: int) -> None:
        super().__init__()
        width, eps = variant.width, variant.eps
        c_in = multiple_of_8(STEM * width)
        stages: list[nn.Module] = [_layer(3, c_in, 3, 2, eps)]
        for expansion, kernel, first, channels, blocks in STAGES:
            stage: list[nn.Module] = []
            for k in range(math.ceil(blocks * variant.depth)):
                c_out = multiple_of_8(channels * width)
                stage.append(MBConv(c_in, c_out, kernel, 1 if k else first, expansion, eps))
                c_in = c_out
            stages.append(nn.Sequential(*stage))
        self.features = nn.Sequential(*stages, _layer(c_in, 4 * c_in, 1, 1, eps))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(variant.dropout), nn.Linear(4 * c_in, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))  # type: ignore[no-any-return]


def _layer(
    c_in: int, c_out: int, kernel: int, stride: int, eps: float, groups: int = 1, activates: bool = True
) -> nn.Sequential:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out, eps), *[nn.SiLU(inplace=True)] * activates)


def builder(name: str) -> Callable[..., nn.Module]:
    """The function of the registry that builds a variant, by the same name."""

    def build(num_classes: Classes = 1000, seed: Seed = 0) -> nn.Module:
        return seeded(lambda: EfficientNet(VARIANTS[name], num_classes), seed, IMAGES)

    build.__name__, build.__doc__ = name, "The variant of EfficientNet with seeded weights."
    return build
