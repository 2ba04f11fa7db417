"""Where an image becomes a vector: calls that only change the shape, and the value behind them."""

from dataclasses import dataclass
from math import prod

import torch
from torch.fx import Node

from nascc.passes import graph as g

aten = torch.ops.aten
RESHAPES = (aten.reshape.default, aten.flatten.using_ints, aten.squeeze.dims)


@dataclass(frozen=True)
class Flattening:
    """An image [N, C, *size] of known size that `calls`, last one first, turn into vectors [N, C * prod(size)]."""

    image: Node
    calls: tuple[Node, ...]
    size: tuple[int, ...]


def flattening(vectors: object) -> Flattening | None:
    """How `vectors` [N, F] were made from an image by calls that nothing else reads; None if they were not."""
    calls: list[Node] = []
    here = vectors
    while isinstance(here, Node) and g.is_call(here, *RESHAPES) and len(here.users) == 1:
        calls.append(here)
        here = here.args[0]
    if not calls or not isinstance(here, Node) or not g.is_floating(here) or g.dtype(here) != g.dtype(calls[0]):
        return None
    before, after = g.shape(here), g.shape(calls[0])
    size = tuple(s for s in before[1:] if isinstance(s, int))
    is_flat = len(before) > 2 and len(after) == 2 and len(size) == len(before) - 1
    if not is_flat or not g.same(before[0], after[0]) or prod(size) != after[1]:
        return None
    return Flattening(here, tuple(calls), size[1:])
