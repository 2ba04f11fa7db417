"""FastDepth: MobileNetV1 without its classifier, and a decoder of separable convolutions up to one depth a pixel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from nascc.nas.zoo.blocks import SeparableConv
from nascc.nas.zoo.mobilenet_v1 import LAYERS, STEM, separable_layers
from nascc.nas.zoo.options import Channels, Classes, Seed, Width
from nascc.nas.zoo.seeding import seeded

DECODER_KERNEL = 5


@dataclass(frozen=True)
class Plan:
    """`stem` and `layers` of the encoder as in MobileNetV1; channels after each decoder stage.

    The stages of `joined`, counted from 1, add the encoder's last map of their resolution to what they give.
    """

    stem: int
    layers: tuple[tuple[int, int], ...]
    decoder: tuple[int, ...]
    joined: tuple[int, ...]

    def scaled(self, width: float) -> "Plan":
        """Every channel count times `width`, as a multiple of 4."""

        def wide(channels: int) -> int:
            return max(4, round(channels * width / 4) * 4)

        layers = tuple((wide(channels), stride) for channels, stride in self.layers)
        return replace(self, stem=wide(self.stem), layers=layers, decoder=tuple(map(wide, self.decoder)))


FULL = Plan(STEM, LAYERS, (512, 256, 128, 64, 32), (2, 3, 4))
TOY = Plan(8, ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1)), (32, 16, 8), (1, 2))


class FastDepth(nn.Module):
    """Images [N, C, H, W] -> depths [N, num_maps, H, W] (Wofk et al. 2019, skip-add); H, W multiples of the stride.

    A decoder stage is a 5x5 separable convolution and nearest upsampling by two. The last convolution has a bias
    instead of the batch norm and the ReLU of the published code: a ReLU on the only output may die.
    """

    def __init__(self, plan: Plan, in_channels: int, num_maps: int) -> None:
        super().__init__()
        self.encoder = separable_layers(in_channels, plan.stem, plan.layers)
        widths = [plan.layers[-1][0], *plan.decoder]
        self.decoder = nn.ModuleList(
            SeparableConv(c_in, c_out, DECODER_KERNEL) for c_in, c_out in zip(widths, plan.decoder, strict=False)
        )
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.head = nn.Conv2d(plan.decoder[-1], num_maps, 1)
        self.taken = _sources(plan)

    def forward(self, x: Tensor) -> Tensor:
        maps: dict[int, Tensor] = {}
        for index, layer in enumerate(self.encoder):
            x = layer(x)
            maps[index] = x
        for stage, layer in enumerate(self.decoder, 1):
            x = self.upsample(layer(x))
            if stage in self.taken:
                x = x + maps[self.taken[stage]]
        return self.head(x)  # type: ignore[no-any-return]


def _sources(plan: Plan) -> dict[int, int]:
    """For each joined stage, the encoder's layer whose map it adds: the last one of that resolution."""
    strides = [2, *(stride for _, stride in plan.layers)]
    last = [index - 1 for index, stride in enumerate(strides) if stride > 1 and index] + [len(strides) - 1]
    coarsest_first: Sequence[int] = last[::-1]
    return {stage: coarsest_first[stage] for stage in plan.joined}


def fastdepth(width: Width = 1.0, in_channels: Channels = 3, num_classes: Classes = 1, seed: Seed = 0) -> nn.Module:
    """FastDepth for images of 224 x 224 or other multiples of 32, with seeded weights; `num_classes` counts maps."""
    plan = FULL.scaled(width)
    return seeded(lambda: FastDepth(plan, in_channels, num_classes), seed, (2, in_channels, 224, 224))


def fastdepth_toy(width: Width = 1.0, in_channels: Channels = 3, num_classes: Classes = 1, seed: Seed = 0) -> nn.Module:
    """A small FastDepth for images of 48 x 48 or other multiples of 8, with seeded weights."""
    plan = TOY.scaled(width)
    return seeded(lambda: FastDepth(plan, in_channels, num_classes), seed, (8, in_channels, 48, 48))
