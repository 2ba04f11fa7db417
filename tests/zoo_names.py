"""The networks of the zoo for tests that run on each of them."""

import pytest

from nascc.nas.zoo import ARCHITECTURES

LARGER = {
    "resnet34", "resnet50", "mobilenet_v3_x125",
    "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4", "efficientnet_b5", "efficientnet_b6",
}  # fmt: skip
"""Networks that differ from a smaller one in numbers alone."""

NAMES = [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGER)) for name in ARCHITECTURES]


def usual_sizes(name: str) -> list[int]:
    """The shape of a network's usual input."""
    (shape,) = ARCHITECTURES[name].inputs
    return [int(size) for size in shape.partition(":")[2].split("x")]
