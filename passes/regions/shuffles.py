"""A channel shuffle spelt by hand: reshape, permute, reshape."""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch.fx import Node

from nascc.passes import graph as g

aten = torch.ops.aten


@dataclass(frozen=True)
class Shuffle:
    """Output channel k of `calls`, last one first, is channel `order[k]` of the image they read."""

    image: Node
    calls: tuple[Node, ...]
    order: tuple[int, ...]


def shuffle(node: Node) -> Shuffle | None:
    """[N, C, *size] -> [N, *factors, *size] -> factors permuted -> [N, C, *size], read by nothing else in between."""
    permute: Any = node.args[0]
    if not g.is_call(permute, aten.permute.default) or len(permute.users) != 1:
        return None
    split: Any = permute.args[0]
    if not g.is_call(split, aten.reshape.default) or len(split.users) != 1:
        return None
    image, shape = split.args[0], g.shape(split)
    rank = len(g.shape(node)) - 2
    factors, dims = shape[1 : len(shape) - rank], list(permute.args[1])
    middle = dims[1 : len(dims) - rank]
    moves_only_factors = sorted(middle) == list(range(1, len(factors) + 1)) and dims[0] == 0
    if rank < 0 or not moves_only_factors or dims[len(dims) - rank :] != list(range(len(dims) - rank, len(dims))):
        return None
    if not all(isinstance(f, int) for f in factors) or not _same_images(image, node, split, rank):
        return None
    order = torch.arange(prod(factors)).reshape(factors).permute([d - 1 for d in middle])  # type: ignore[arg-type]
    return Shuffle(image, (node, permute, split), tuple(order.flatten().tolist()))


def _same_images(image: Node, node: Node, split: Node, rank: int) -> bool:
    """Are there as many images, channels and pixels before, between and after?"""
    before, after, between = g.shape(image), g.shape(node), g.shape(split)
    if len(before) != len(after) or not all(map(g.same, before, after)) or g.dtype(image) != g.dtype(node):
        return False
    return g.same(before[0], between[0]) and all(map(g.same, before[2:], between[len(between) - rank :]))
