"""Networks made of linear regions: DW-NAS style MBConvs, RepVGG, MobileOne, and a ResNet of diverse branches."""

import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nascc.tools.bench.networks import Network, load_network, randomise_statistics
from nascc.tools.errors import CommandError

STAGES = ((24, 2, 2), (48, 2, 3), (72, 2, 4), (128, 1, 3), (160, 2, 4), (176, 1, 4), (384, 1, 1))
"""(channels, stride of the first block, blocks) of the 21 blocks."""
BLOCKS = sum(count for _, _, count in STAGES)
HALVES = tuple(f"dw:half_{seed}" for seed in range(10))
COLLAPSIBLE = ("dw:k3e6", "dw:k3e3", "dw:k5e6", *HALVES, "timm:repvgg_a0", "dbb_resnet18", "timm:mobileone_s0")


@dataclass(frozen=True)
class Choice:
    """One block: its kernel, its expansion, and whether it has activations inside."""

    kernel: int = 3
    expansion: int = 6
    linear: bool = True


def conv_norm(c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1, pad: bool = True) -> nn.Module:
    """Convolution without bias, then batch norm: [N, C_in, H, W] -> [N, C_out, H / stride, W / stride]."""
    padding = kernel // 2 if pad else 0
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False), nn.BatchNorm2d(c_out)
    )


class LinearMBConv(nn.Module):
    """1x1, depthwise, 1x1, + x, and one ReLU6 at the very end; padded so that it is exactly one convolution.

    The border of the depthwise convolution holds what the first batch norm makes of zero.
    """

    def __init__(self, c_in: int, c_out: int, stride: int, choice: Choice) -> None:
        super().__init__()
        hidden, self.border = c_in * choice.expansion, choice.kernel // 2
        self.expand, self.norm = nn.Conv2d(c_in, hidden, 1, bias=False), nn.BatchNorm2d(hidden)
        self.depthwise = conv_norm(hidden, hidden, choice.kernel, stride, hidden, pad=False)
        self.project = conv_norm(hidden, c_out)
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        ring = norm.bias - norm.running_mean * norm.weight / torch.sqrt(norm.running_var + norm.eps)
        ring = ring.reshape(1, -1, 1, 1)
        y = F.pad(norm(self.expand(x)) - ring, [self.border] * 4) + ring
        y = self.project(self.depthwise(y))
        return F.relu6(x + y if self.residual else y)


class NonlinearMBConv(nn.Module):
    """1x1, ReLU6, depthwise, ReLU6, 1x1, + x."""

    def __init__(self, c_in: int, c_out: int, stride: int, choice: Choice) -> None:
        super().__init__()
        hidden, kernel = c_in * choice.expansion, choice.kernel
        first = [conv_norm(c_in, hidden), nn.ReLU6()] if choice.expansion > 1 else []
        depthwise = conv_norm(hidden, hidden, kernel, stride, hidden)
        self.layers = nn.Sequential(*first, depthwise, nn.ReLU6(), conv_norm(hidden, c_out))
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.residual else y


def linear_network(choices: list[Choice]) -> nn.Module:
    """A stem, a fixed block, one block a choice, and a head: [N, 3, H, W] -> [N, 1000]."""
    layers: list[nn.Module] = [conv_norm(3, 16, 3, 2), nn.ReLU6(), NonlinearMBConv(16, 16, 1, Choice(3, 1, False))]
    given, c_in = iter(choices), 16
    for channels, stride, count in STAGES:
        for k in range(count):
            choice = next(given)
            block = LinearMBConv if choice.linear else NonlinearMBConv
            layers.append(block(c_in, channels, stride if k == 0 else 1, choice))
            c_in = channels
    head = [conv_norm(c_in, 1984), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1984, 1280)]
    return nn.Sequential(*layers, *head, nn.ReLU6(), nn.Linear(1280, 1000))


def half_linear(seed: int) -> list[Choice]:
    """Random kernels and expansions, half of the blocks linear."""
    draw = random.Random(seed)
    linear = [k < BLOCKS // 2 for k in range(BLOCKS)]
    draw.shuffle(linear)
    return [Choice(draw.choice((3, 5, 7)), draw.choice((3, 6)), is_linear) for is_linear in linear]


class DiverseBranches(nn.Module):
    """The sum of kxk, 1x1, 1x1-kxk and 1x1-average, each with batch norms; no branch pads behind a bias."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.branches = nn.ModuleList([
            conv_norm(c_in, c_out, 3, stride),
            conv_norm(c_in, c_out, 1, stride),
            nn.Sequential(nn.Conv2d(c_in, c_in, 1, bias=False), conv_norm(c_in, c_out, 3, stride)),
            nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), nn.AvgPool2d(3, stride, 1), nn.BatchNorm2d(c_out)),
        ])  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.branches[0](x)
        for branch in self.branches[1:]:
            total = total + branch(x)
        return total


class DiverseResidual(nn.Module):
    """ResNet's basic block with diverse branches in the place of its convolutions."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(DiverseBranches(c_in, c_out, stride), nn.ReLU(), DiverseBranches(c_out, c_out))
        self.shortcut = nn.Identity() if stride == 1 and c_in == c_out else conv_norm(c_in, c_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layers(x) + self.shortcut(x))


def dbb_resnet18() -> nn.Module:
    """[N, 3, H, W] -> [N, 1000]."""
    layers: list[nn.Module] = [conv_norm(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    c_in = 64
    for channels, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        layers.append(DiverseResidual(c_in, channels, stride))
        c_in = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "dw:k3e6": lambda: linear_network([Choice(3, 6)] * BLOCKS),
    "dw:k3e3": lambda: linear_network([Choice(3, 3)] * BLOCKS),
    "dw:k5e6": lambda: linear_network([Choice(5, 6)] * BLOCKS),
    **{name: lambda seed=seed: linear_network(half_linear(seed)) for seed, name in enumerate(HALVES)},  # type: ignore[misc]
    "dbb_resnet18": dbb_resnet18,
}


def load_collapsible(name: str, batch: int = 1, size: int = 224, seed: int = 0) -> Network:
    """A network of BUILDERS, or of timm or torchvision, with seeded weights and a batch [N, 3, size, size]."""
    images = torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))
    if name not in BUILDERS:
        if ":" not in name or name.startswith("dw:"):
            raise CommandError(f"a network must be {', '.join(BUILDERS)}, timm:NAME or torchvision:NAME, got '{name}'")
        loaded = load_network(name, seed, size)
        return Network(loaded.name, loaded.module, (images,))
    torch.manual_seed(seed)
    module = BUILDERS[name]().eval()
    randomise_statistics(module, torch.Generator().manual_seed(seed))
    return Network(name.replace(":", "_"), module, (images,))
