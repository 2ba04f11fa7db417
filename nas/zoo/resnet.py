"""ResNet-18, -34 and -50, with the structure and the parameter names of torchvision."""

from collections.abc import Callable
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from nascc.nas.zoo.seeding import seeded

WIDTHS = (64, 128, 256, 512)
DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
BOTTLENECKS = ("resnet50",)
Classes = Annotated[int, Field(ge=1, le=100_000)]
Seed = Annotated[int, Field(ge=0)]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: [N, C_in, H, W] -> [N, width, H / stride, W / stride]."""

    expansion = 1

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.relu, self.downsample = nn.ReLU(inplace=True), shortcut(c_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 beside a shortcut: [N, C_in, H, W] -> [N, 4 width, H / stride, W / stride]; stride in the 3x3."""

    expansion = 4

    def __init__(self, c_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c_in, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.relu, self.downsample = nn.ReLU(inplace=True), shortcut(c_in, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """Images [N, 3, H, W] -> logits [N, num_classes]."""

    def __init__(self, block: type[BasicBlock] | type[Bottleneck], depths: tuple[int, ...], num_classes: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        c_in = 64
        for number, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True), 1):
            blocks = []
            for k in range(depth):
                blocks.append(block(c_in, width, 2 if number > 1 and k == 0 else 1))
                c_in = width * block.expansion
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(c_in, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for number in range(1, len(WIDTHS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return self.fc(self.avgpool(x).flatten(1))  # type: ignore[no-any-return]


def shortcut(c_in: int, c_out: int, stride: int) -> nn.Sequential | None:
    """A 1x1 convolution with batch norm where the shape changes."""
    if stride == 1 and c_in == c_out:
        return None
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))


def builder(name: str) -> Callable[..., nn.Module]:
    """The function of the registry that builds a depth, by the same name."""
    block = Bottleneck if name in BOTTLENECKS else BasicBlock

    def build(num_classes: Classes = 1000, seed: Seed = 0) -> nn.Module:
        return seeded(lambda: ResNet(block, DEPTHS[name], num_classes), seed)

    build.__name__, build.__doc__ = name, "The depth of ResNet with seeded weights."
    return build
