"""A convolution with its batch norm, with or without a non-linearity after it."""

from torch import nn

from nascc.nas.blocks.activations import activation


class ConvNorm(nn.Sequential):
    """Convolution without bias, then batch norm: [N, C_in, H, W] -> [N, C_out, ceil(H / stride), ceil(W / stride)]."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> None:
        conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(c_out))


class ConvNormAct(ConvNorm):
    """Convolution, batch norm and a non-linearity; shapes as ConvNorm."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 3, stride: int = 1, groups: int = 1, act: str = "relu6"
    ) -> None:
        super().__init__(c_in, c_out, kernel, stride, groups)
        self.append(activation(act))
