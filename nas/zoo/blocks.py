"""Layers the reference networks are made of."""

from torch import Tensor, nn

from nascc.nas.blocks.conv_norm import ConvNorm, ConvNormAct


class InvertedResidual(nn.Module):
    """Expand by a 1x1, filter each channel by a 3x3, project by a 1x1; the input is added where shapes allow.

    [N, C_in, H, W] -> [N, C_out, H / stride, W / stride].
    """

    def __init__(self, c_in: int, c_out: int, stride: int, expand_ratio: int) -> None:
        super().__init__()
        hidden = c_in * expand_ratio
        layers: list[nn.Module] = [ConvNormAct(c_in, hidden, kernel=1)] if expand_ratio != 1 else []
        layers.append(ConvNormAct(hidden, hidden, stride=stride, groups=hidden))
        self.conv = nn.Sequential(*layers, *ConvNorm(hidden, c_out, kernel=1))
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


class RepVGGBlock(nn.Module):
    """ReLU of the sum of a 3x3, a 1x1 and, where shapes allow, an identity branch, each with its own batch norm.

    [N, C_in, H, W] -> [N, C_out, H / stride, W / stride]. The form it is trained in: deployed, it is one 3x3.
    """

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.branch_3x3 = ConvNorm(c_in, c_out, 3, stride)
        self.branch_1x1 = ConvNorm(c_in, c_out, 1, stride)
        self.branch_identity = nn.BatchNorm2d(c_in) if stride == 1 and c_in == c_out else None
        self.activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.branch_3x3(x) + self.branch_1x1(x)
        if self.branch_identity is not None:
            y = y + self.branch_identity(x)
        return self.activation(y)  # type: ignore[no-any-return]


class SeparableConv(nn.Sequential):
    """A depthwise convolution, then a pointwise one, each with batch norm and ReLU (MobileNets, Table 1).

    [N, C_in, H, W] -> [N, C_out, H / stride, W / stride].
    """

    def __init__(self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> None:
        depthwise = ConvNormAct(c_in, c_in, kernel, stride, groups=c_in, act="relu")
        super().__init__(depthwise, ConvNormAct(c_in, c_out, 1, act="relu"))


class SqueezeExcitation(nn.Module):
    """x * gate(fc2(activation(fc1(mean(x))))), `hidden` channels between: shape [N, C, H, W]."""

    def __init__(self, channels: int, hidden: int, activation: type[nn.Module], gate: type[nn.Module]) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)
        self.activation, self.gate = activation(), gate()

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.activation(self.fc1(nn.functional.adaptive_avg_pool2d(x, 1)))
        return x * self.gate(self.fc2(squeezed))  # type: ignore[no-any-return]
