"""The neutral form of a network: a list of operators with kinds and sizes, which every front end fills alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

CONVOLUTIONS = ("conv", "pointwise", "depthwise", "grouped")
"""Dense k x k, dense 1 x 1, one input channel a group, several input channels a group."""
MULTIPLIERS = (*CONVOLUTIONS, "gemm", "matmul")
"""Kinds that multiply matrices: gemm with a constant, matmul of two values."""
MEMORY = ("pool", "norm", "elementwise", "concat", "slice", "move", "resize")
"""Kinds whose time is that of the numbers they read and write."""
FREE = ("view", "pad")
"""A view renames its input; a pad of zeros is part of the convolution or pooling that reads it."""


@dataclass(frozen=True)
class Operator:
    """One operator: `inputs` names the values it reads, constants left out, `output` the value it makes.

    `elements` counts the numbers in the output, `weights` the constant numbers read, `macs` multiply-accumulates,
    `reduction` the products summed into one output number. `channels` are those in and out of a convolution; a gated
    activation multiplies its input by a function of it.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: str
    elements: int
    weights: int = 0
    macs: int = 0
    reduction: int = 0
    channels: tuple[int, int] = (0, 0)
    gated: bool = False


@dataclass(frozen=True)
class Network:
    """Operators in the order of their execution; `inputs` gives the number of elements of each input."""

    inputs: dict[str, int]
    operators: tuple[Operator, ...]
    outputs: tuple[str, ...]


def convolution(
    name: str,
    inputs: tuple[str, ...],
    output: str,
    in_shape: Sequence[int],
    out_shape: Sequence[int],
    weight: Sequence[int],
    groups: int,
    *,
    transposed: bool = False,
    bias: int = 0,
) -> Operator:
    """A convolution; `weight` is [C_out, C_in/g, *k], transposed [C_in, C_out/g, *k]; `bias` counts its numbers."""
    per_group = weight[0] // groups if transposed else weight[1]
    taps = prod(weight[2:])
    positions = in_shape if transposed else out_shape
    macs = positions[0] * prod(positions[2:]) * prod(weight)
    kind = _convolution_kind(per_group, groups, taps)
    return Operator(
        name, kind, inputs, output, prod(out_shape), prod(weight) + bias, macs, per_group * taps,
        channels=(in_shape[1], out_shape[1]),
    )  # fmt: skip


def _convolution_kind(per_group: int, groups: int, taps: int) -> str:
    if groups > 1:
        return "depthwise" if per_group == 1 else "grouped"
    return "pointwise" if taps == 1 else "conv"


def keeps_order(shape: Sequence[int], axes: Sequence[int]) -> bool:
    """Does a transposition leave all numbers where they are, because only axes of size 1 change places?"""
    moved = [axis for axis in axes if shape[axis] != 1]
    return moved == sorted(moved)


def product(
    name: str, inputs: tuple[str, ...], output: str, out_shape: Sequence[int], reduction: int, weights: int = 0
) -> Operator:
    """A matrix product: with a constant of `weights` numbers, or of two values where it is 0."""
    elements = prod(out_shape)
    kind = "gemm" if weights else "matmul"
    return Operator(name, kind, inputs, output, elements, weights, elements * reduction, reduction)
