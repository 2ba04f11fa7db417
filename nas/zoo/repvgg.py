"""RepVGG in the form it is trained in: every block has three parallel branches."""

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from nascc.nas.zoo.blocks import RepVGGBlock
from nascc.nas.zoo.seeding import seeded

A0_WIDTHS = (48, 48, 96, 192, 1280)
A0_DEPTHS = (1, 2, 4, 14, 1)


class RepVGG(nn.Module):
    """Images [N, 3, H, W] -> logits [N, num_classes]; every stage halves H and W."""

    def __init__(self, widths: tuple[int, ...], depths: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        stages, c_in = [], 3
        for c_out, depth in zip(widths, depths, strict=True):
            blocks = [RepVGGBlock(c_in, c_out, stride=2), *(RepVGGBlock(c_out, c_out) for _ in range(depth - 1))]
            stages.append(nn.Sequential(*blocks))
            c_in = c_out
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(c_in, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.pool(self.stages(x)).flatten(1))  # type: ignore[no-any-return]


def repvgg_a0(
    num_classes: Annotated[int, Field(ge=1, le=100_000)] = 1000, seed: Annotated[int, Field(ge=0)] = 0
) -> nn.Module:
    """RepVGG-A0 with seeded weights."""
    return seeded(lambda: RepVGG(A0_WIDTHS, A0_DEPTHS, num_classes), seed)
