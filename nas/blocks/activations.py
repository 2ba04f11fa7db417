"""Non-linearities by name."""

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu6": nn.ReLU6,
    "relu": nn.ReLU,
    "hard_swish": nn.Hardswish,
    "identity": nn.Identity,
}


def activation(name: str, inplace: bool = True) -> nn.Module:
    """A new module of the non-linearity; it works in place unless its input is needed again."""
    return ACTIVATIONS[name](inplace=inplace)
