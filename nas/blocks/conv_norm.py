"""A convolution with its batch norm, with or without a non-linearity after it."""

from torch import nn

from nascc.nas.blocks.activations import activation


class ConvNorm(nn.Sequential):
    """Convolution without bias, then batch norm: [N, C_in, H, W] -> [N, C_out, ceil(H / stride), ceil(W / stride)].

    Zeros stand around the input unless it is `padded` already. `eps` is added to the variance.
    """

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        padded: bool = False,
        eps: float = 1e-5,
    ) -> None:
        padding = 0 if padded else kernel // 2
        conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(c_out, eps))


class ConvNormAct(ConvNorm):
    """Convolution, batch norm and a non-linearity; shapes as ConvNorm."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        act: str = "relu6",
        eps: float = 1e-5,
    ) -> None:
        super().__init__(c_in, c_out, kernel, stride, groups, eps=eps)
        self.append(activation(act))
