"""Small networks that together use most of what vision networks use; every pass and every opset meets all of them."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from kit import randomised


class Residual(nn.Module):
    """Conv, batch norm, activation, and the input added."""

    def __init__(self, c: int, act: nn.Module) -> None:
        super().__init__()
        self.conv, self.bn, self.act = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c), act

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x))) + x


class SqueezeExcite(nn.Module):
    """Channel attention."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(c, c // 2, 1), nn.Conv2d(c // 2, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.up(F.relu_(self.down(x.mean((2, 3), keepdim=True))))
        return x * F.hardsigmoid(gate)


class Attention(nn.Module):
    """Self-attention over the positions of an image, as in vision transformers."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.LayerNorm(c), nn.Linear(c, 3 * c), nn.Linear(c, c)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        b, n, c = tokens.shape
        q, k, v = self.qkv(self.norm(tokens)).reshape(b, n, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c)
        return tokens + F.gelu(self.out(y))


class Shuffle(nn.Module):
    """Two branches, concatenated and shuffled by hand."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(nn.Conv2d(c // 2, c // 2, 1), nn.BatchNorm2d(c // 2), nn.SiLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, 1)
        y = torch.cat([left, self.branch(right)], 1)
        n, c, h, w = y.shape
        return y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class Dense(nn.Module):
    """Batch norm and activation before the convolution; everything computed so far is concatenated."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.BatchNorm2d(c), nn.BatchNorm2d(2 * c)])
        self.convs = nn.ModuleList([nn.Conv2d(c, c, 3, padding=1), nn.Conv2d(2 * c, c, 1)])

    def forward(self, x: Tensor) -> Tensor:
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = torch.cat([x, conv(F.relu(norm(x)))], 1)
        return x


class Decoder(nn.Module):
    """Upsampling in three ways."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.up, self.bn = nn.ConvTranspose2d(c, c, 4, 2, 1, bias=False), nn.BatchNorm2d(c)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        big = self.bn(self.up(x))
        smooth = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        return {"mask": big + smooth, "edges": F.pixel_shuffle(F.interpolate(x, scale_factor=2.0), 2)}


MODELS: dict[str, Callable[[], nn.Module]] = {
    "residual": lambda: nn.Sequential(Residual(8, nn.ReLU(inplace=True)), Residual(8, nn.ReLU6())),
    "hard swish": lambda: nn.Sequential(Residual(8, nn.Hardswish()), SqueezeExcite(8)),
    "attention": lambda: Attention(8),
    "shuffle": lambda: nn.Sequential(Shuffle(8), nn.Dropout(0.2), nn.Identity()),
    "dense": lambda: nn.Sequential(Dense(8), nn.AvgPool2d(2), nn.BatchNorm2d(24), nn.ReLU()),
    "decoder": lambda: Decoder(8),
    "classifier": lambda: nn.Sequential(
        nn.Conv2d(8, 16, 3, 2, 1, groups=2),
        nn.BatchNorm2d(16),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
        nn.BatchNorm1d(10),
    ),
}
X = torch.randn(2, 8, 8, 8, generator=torch.Generator().manual_seed(0))


def model(name: str) -> nn.Module:
    """A network of the table, seeded."""
    return randomised(MODELS[name]())
