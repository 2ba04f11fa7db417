"""Small networks that hold every structure an elastic network has to treat right."""

import random
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nascc.nas.core import Arch
from nascc.nas.elastic import ElasticSpace, Thresholds
from nascc.nas.regions.teacher import captured_for

IMAGE = (3, 16, 16)


def conv(c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: bool = True) -> nn.Sequential:
    """Convolution, batch norm, and an activation."""
    layers: list[nn.Module] = [nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)]
    return nn.Sequential(*layers, nn.BatchNorm2d(c_out), nn.Hardswish() if act else nn.Identity())


class Squeeze(nn.Module):
    """Squeeze-and-excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, 4, 1), nn.Conv2d(4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    """An inverted residual, with or without squeeze-and-excitation."""

    def __init__(self, c_in: int, hidden: int, c_out: int, kernel: int, stride: int, squeezes: bool) -> None:
        super().__init__()
        self.expand, self.filter = conv(c_in, hidden), conv(hidden, hidden, kernel, stride, hidden)
        self.squeeze = Squeeze(hidden) if squeezes else nn.Identity()
        self.project = conv(hidden, c_out, act=False)
        self.adds = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.squeeze(self.filter(self.expand(x))))
        return x + y if self.adds else y


class Mobile(nn.Module):
    """Strided, residual, squeezed, depthwise and linear layers, with a hidden linear layer before the last."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8, 3, 2)
        self.blocks = nn.Sequential(
            Block(8, 16, 8, 5, 1, False),
            Block(8, 24, 12, 5, 2, True),
            Block(12, 24, 12, 3, 1, True),
            Block(12, 24, 12, 5, 1, False),
        )
        self.last = conv(12, 20)
        self.hidden, self.head = nn.Linear(20, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.last(self.blocks(self.stem(x)))
        return self.head(F.relu(self.hidden(F.adaptive_avg_pool2d(y, 1).flatten(1))))  # type: ignore[no-any-return]


class Plain(nn.Module):
    """Convolutions with biases, sums with a projection beside, pooling, a map flattened into a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 8, 3, 1, 1), conv(8, 8, 3)
        self.beside, self.three, self.four = conv(8, 12, 1, 2, act=False), conv(8, 12, 3, 2), conv(12, 12, 3, act=False)
        self.head = nn.Linear(12 * 16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.one(x))
        x = x + self.two(x)
        x = F.relu(self.four(self.three(x)) + self.beside(x))
        return self.head(F.max_pool2d(x, 2).flatten(1))  # type: ignore[no-any-return]


class Mixed(nn.Module):
    """A concatenation, a batch norm of its own, a sigmoid between layers, a decoder with a skip, one channel out."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.left, self.right = conv(3, 8, 3), conv(8, 6, 3, 2), conv(8, 6, 1, 2)
        self.norm, self.two, self.three = nn.BatchNorm2d(12), conv(12, 10), conv(10, 8)
        self.out = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.one(x)
        y = self.norm(torch.cat([self.left(skip), self.right(skip)], 1))
        y = torch.sigmoid(self.two(y)) * 2
        return self.out(F.interpolate(self.three(y), scale_factor=2) + skip)  # type: ignore[no-any-return]


class Odd(nn.Module):
    """A difference, a sum with a factor, an unpadded depthwise layer, a batch norm whose numbers are expressions."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.left, self.right = conv(3, 8, 3), conv(8, 8, 3), conv(8, 8, 1)
        self.two, self.last, self.head = conv(8, 8, 1), nn.Conv2d(8, 6, 1), nn.Linear(6, 5)
        self.valid = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.BatchNorm2d(8), nn.ReLU())
        self.scale, self.shift = nn.Parameter(torch.ones(6)), nn.Parameter(torch.ones(6))
        self.register_buffer("mean", torch.full((6,), 0.3))
        self.register_buffer("var", torch.full((6,), 0.7))

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        x = self.left(x) - self.right(x)
        x = self.last(self.valid(torch.add(x, self.two(x), alpha=0.5)))
        x = F.batch_norm(x, self.mean, self.var, self.scale + 1, self.shift)
        return self.head(F.relu(x).mean((2, 3)))  # type: ignore[no-any-return]


def space_of(
    network: nn.Module, image: Sequence[int] = IMAGE, thresholds: Thresholds | None = None, levels: int = 5
) -> ElasticSpace:
    """The space of a network whose weights and statistics cancel nothing out."""
    torch.manual_seed(0)
    with torch.no_grad():
        for part in network.modules():
            if isinstance(part, nn.BatchNorm2d):
                for value in (part.weight, part.bias, part.running_mean):
                    assert value is not None
                    value.uniform_(0.2, 1)
    graph = captured_for(network.eval(), image)
    return ElasticSpace(graph, tuple(image), thresholds or Thresholds(), levels)  # type: ignore[arg-type]


def extremes(space: ElasticSpace, count: int, seed: int = 0) -> list[Arch]:
    """Random architectures, of which every other one has lost most of its layers; and the smallest one."""
    draw = random.Random(seed)
    found = [space.smallest]
    while len(found) < count:
        arch = space.random(draw)
        if len(found) % 2:
            arch = tuple(n - 1 if draw.random() < 0.6 else k for k, n in zip(arch, space.choices, strict=True))
        found.append(arch)
    return found
