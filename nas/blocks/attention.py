"""Attention between the positions of a map."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Multi-head self-attention over tokens [N, L, C] -> [N, L, C]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        _, length, width = x.shape
        q, k, v = self.qkv(x).reshape(-1, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(-1, length, width))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """A layer of a vision transformer (ViT): x + attention(norm(x)), then x + mlp(norm(x)); mlp of twice the width."""

    def __init__(self, width: int, heads: int, ratio: int = 2) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.first(x))
        return x + self.mlp(self.second(x))  # type: ignore[no-any-return]


class BottleneckAttention(nn.Module):
    """Attention between all positions of a map with learned positions, BN, ReLU (BoTNet): [N, C, H, W], C by 4 heads.

    Positions are absolute: one vector for each row and each column.
    """

    def __init__(self, sides: tuple[int, int], channels: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.rows = nn.Parameter(torch.zeros(1, channels, sides[0], 1))
        self.columns = nn.Parameter(torch.zeros(1, channels, 1, sides[1]))
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        _, c, h, w = x.shape
        q, k, v = self.qkv(x + self.rows + self.columns).reshape(-1, 3, self.heads, c // self.heads, h * w).unbind(1)
        mixed = F.scaled_dot_product_attention(*(t.transpose(2, 3) for t in (q, k, v)))
        return F.relu(self.norm(mixed.transpose(2, 3).reshape(-1, c, h, w)))
