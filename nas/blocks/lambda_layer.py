"""Lambda layers: what the context says becomes a small linear map that every position applies to itself."""

from torch import Tensor, nn
from torch.nn import functional as F


class LambdaLayer(nn.Module):
    """[N, C, H, W] -> the same, BN and ReLU behind (LambdaNetworks, Sec. 2.2), keys of `keys` numbers, C by 4 heads.

    Content lambda: softmax(K) over positions times V, [keys, C / 4]; position lambdas: a `window` x `window`
    convolution of the values, the translation-equivariant form, which keeps parameters independent of the map.
    """

    def __init__(self, channels: int, keys: int = 16, heads: int = 4, window: int = 5) -> None:
        super().__init__()
        self.keys, self.heads = keys, heads
        values = channels // heads
        self.queries = nn.Sequential(nn.Conv2d(channels, keys * heads, 1, bias=False), nn.BatchNorm2d(keys * heads))
        self.key = nn.Conv2d(channels, keys, 1, bias=False)
        self.value = nn.Sequential(nn.Conv2d(channels, values, 1, bias=False), nn.BatchNorm2d(values))
        self.positions = nn.Conv2d(1, keys, window, padding=window // 2, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        _, c, h, w = x.shape
        values = self.value(x)
        v = c // self.heads
        queries = self.queries(x).reshape(-1, self.heads, self.keys, h * w)
        keys = F.softmax(self.key(x).flatten(2), dim=2)
        content = keys @ values.flatten(2).transpose(1, 2)  # [N, keys, v]
        mixed = queries.transpose(2, 3) @ content[:, None]  # [N, heads, H W, v]
        around = self.positions(values.reshape(-1, 1, h, w)).reshape(-1, v, self.keys, h * w)
        placed = (queries[:, :, None] * around[:, None]).sum(3)  # [N, heads, v, H W]
        y = (mixed.transpose(2, 3) + placed).reshape(-1, c, h, w)
        return F.relu(self.norm(y))
