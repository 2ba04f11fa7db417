"""SSDLite: boxes and class scores at every position of several feature maps, by separable convolutions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nascc.nas.blocks.conv_norm import ConvNormAct
from nascc.nas.zoo.backbone import Backbone

ANCHORS = 6
EXTRA = (512, 256, 256, 128)


class SSDLite(nn.Module):
    """Images -> (class scores [N, A, classes], box offsets [N, A, 4]), A anchors over all maps (MobileNetV2, §6.2).

    The maps are those of the backbone and `extra` ones, each half the size of the one before.
    """

    def __init__(self, backbone: Backbone, classes: int, extra: Sequence[int] = EXTRA) -> None:
        super().__init__()
        self.backbone, self.classes = backbone, classes
        widths = [*backbone.channels, *extra]
        last = backbone.channels[-1]
        self.extra = nn.ModuleList()
        for width in extra:
            self.extra.append(_halving(last, width))
            last = width
        self.scores = nn.ModuleList(_separable(width, ANCHORS * classes) for width in widths)
        self.boxes = nn.ModuleList(_separable(width, ANCHORS * 4) for width in widths)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        maps = list(self.backbone(x))
        for layer in self.extra:
            maps.append(layer(maps[-1]))
        scores = [_by_anchor(head(m), self.classes) for head, m in zip(self.scores, maps, strict=True)]
        boxes = [_by_anchor(head(m), 4) for head, m in zip(self.boxes, maps, strict=True)]
        return torch.cat(scores, 1), torch.cat(boxes, 1)


def _halving(c_in: int, c_out: int) -> nn.Sequential:
    hidden = c_out // 2
    return nn.Sequential(
        ConvNormAct(c_in, hidden, 1), ConvNormAct(hidden, hidden, 3, 2, groups=hidden), ConvNormAct(hidden, c_out, 1)
    )


def _separable(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(ConvNormAct(c_in, c_in, 3, groups=c_in), nn.Conv2d(c_in, c_out, 1))


def _by_anchor(x: Tensor, size: int) -> Tensor:
    """[N, ANCHORS * size, H, W] -> [N, H * W * ANCHORS, size]."""
    return x.permute(0, 2, 3, 1).reshape(len(x), -1, size)
