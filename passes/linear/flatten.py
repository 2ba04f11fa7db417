"""Where an image becomes a vector: an operator that gives one pixel, as a linear layer on the flattened image."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nascc.passes.linear.channels import regroup
from nascc.passes.linear.convolution import Convolution
from nascc.passes.linear.deploy import Deployed
from nascc.passes.linear.operator import Ints, Operator, Refusal, Sizes
from nascc.passes.linear.threads import pinned


@pinned
def flatten_image(op: Operator, size: Sizes) -> Deployed | Refusal:
    """The operator on images of `size` as flatten, then linear: weight [C_out, C_in * prod(size)].

    Taps beyond the image fall away: what the padding held there goes into the bias, as does a channel of ones.
    """
    if None in size or any(n != 1 for n in op.out_size(size)):
        return Refusal(f"flattened to vectors must be one pixel of an image of known size, got {op.out_size(size)}")
    image = tuple(n or 0 for n in size)
    inside, pixels = _taps(op, image)
    kernel = regroup(op.kernel, op.groups, 1)
    weight = kernel.new_zeros(op.c_out, op.c_in, *image)
    if not op.is_outline:
        at: tuple[slice | Tensor, ...] = (slice(None), slice(None), *torch.meshgrid(*pixels, indexing="ij"))
        weight[at] = _at(kernel, inside)
    bias = _constant(op, kernel, inside)
    return Deployed(Convolution(weight.flatten(1), bias, (), (), (), 1), flattens=True)


def _taps(op: Operator, image: Ints) -> tuple[list[Tensor], list[Tensor]]:
    """For each dimension, which taps read a pixel of the image, and which pixel."""
    inside, pixels = [], []
    for taps, up, n in zip(op.offsets, op.up, image, strict=True):
        hits = [(k, tap // up) for k, tap in enumerate(taps) if tap % up == 0 and 0 <= tap // up < n]
        inside.append(torch.tensor([k for k, _ in hits], dtype=torch.long))
        pixels.append(torch.tensor([pixel for _, pixel in hits], dtype=torch.long))
    return inside, pixels


def _at(kernel: Tensor, taps: Sequence[Tensor]) -> Tensor:
    for dim, index in enumerate(taps, start=2):
        kernel = kernel.index_select(dim, index)
    return kernel


def _constant(op: Operator, kernel: Tensor, inside: Sequence[Tensor]) -> Tensor | None:
    """The bias, what the padding holds under the taps beyond the image, and the ones under those within."""
    if op.bias is None and op.pad_value is None and op.ones is None:
        return None
    bias = op.bias_or_zeros.clone()
    if op.is_outline:
        return bias
    if op.pad_value is not None:
        beyond = kernel.flatten(2).sum(2) - _at(kernel, inside).flatten(2).sum(2)
        bias += beyond @ op.pad_value
    if op.ones is not None:
        bias += _at(op.ones.unsqueeze(1), inside).flatten(1).sum(1)
    return bias


def lift(op: Operator, rank: int) -> Operator:
    """A linear layer on vectors [N, C] as the 1x1 convolution that it is on images of one pixel."""
    ones = (1,) * (rank - op.rank)
    zeros = tuple(0 for _ in ones)
    return replace(
        op,
        kernel=op.kernel.reshape(*op.kernel.shape, *ones),
        offsets=(*op.offsets, *((0,) for _ in ones)),
        up=(*op.up, *ones),
        down=(*op.down, *ones),
        extent=(*op.extent, *zeros),
    )
