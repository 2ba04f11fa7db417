"""Non-linearities by name."""

from torch import nn

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu6": nn.ReLU6, "relu": nn.ReLU, "hard_swish": nn.Hardswish}


def activation(name: str) -> nn.Module:
    """A new module of the non-linearity; it works in place."""
    return ACTIVATIONS[name](inplace=True)
