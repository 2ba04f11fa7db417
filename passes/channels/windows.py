"""Pooling, resizing, padding and reductions over dimensions along which channels are not told apart."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.nn.functional import pad

from nascc.passes import graph as g
from nascc.passes.arguments import arguments
from nascc.passes.channels.facts import Facts, Link, Step, positions, settled

aten = torch.ops.aten
Known = Callable[[Node], Facts]


def _over(n: int | None = None) -> Callable[[Node, Known], Step | None]:
    """Means, maxima and copies over windows of the last n dimensions: a constant stays what it is."""

    def rule(node: Node, known: Known) -> Step | None:
        x: Any = node.args[0]
        rank = n if n is not None else len(g.shape(x)) - 2
        return _kept(x, known(x), rank)

    return rule


def _kept(x: Node, facts: Facts, n: int, constant: Tensor | None = None) -> Step | None:
    """Channels as before; those in `constant` (default: all that were) are still constant."""
    if n and max(facts.layout[-n:]) > 1:
        return None
    constant = facts.constant if constant is None else facts.constant & constant
    return Step(settled(constant, facts.value), (Link(x, positions(facts.layout)),))


def _average(node: Node, known: Known) -> Step | None:
    a = arguments(node)
    x, facts = a["self"], known(a["self"])
    borders = (any(a["padding"]) and a["count_include_pad"]) or bool(a.get("divisor_override"))
    return _kept(x, facts, len(a["kernel_size"]), facts.zero if borders else None)


def _reduced(node: Node, known: Known) -> Step | None:
    """mean, amax, amin, sum over dimensions along which no channels are told apart."""
    a = arguments(node)
    x, facts = a["self"], known(a["self"])
    dims = [d % max(len(facts.layout), 1) for d in a["dim"]]
    if any(facts.layout[d] > 1 for d in dims):
        return None
    keep = facts.zero if node.target is aten.sum.dim_IntList else facts.constant
    shape = [s for d, s in enumerate(facts.layout) if d not in dims or a["keepdim"]]
    link = Link(x, positions(facts.layout).reshape(shape))
    return Step(settled((facts.constant & keep).reshape(shape), facts.value.reshape(shape)), (link,))


def _padded(node: Node, known: Known) -> Step | None:
    """Padding with a number: channels equal to it stay constant; padding along the channels adds channels."""
    arguments_: Any = (*node.args, 0)
    x, sides, fill = arguments_[:3]
    facts, fill = known(x), fill or 0
    if not isinstance(fill, (int, float)) or not all(isinstance(s, int) for s in sides):
        return None
    constant, value, index = facts.constant, facts.value, positions(facts.layout)
    moved = False
    for k, (before, after) in enumerate(zip(sides[::2], sides[1::2], strict=True)):
        if not _told_apart(x, facts, k):
            moved = moved or before or after
            constant = constant & (value == fill) if before or after else constant
            continue
        if min(before, after) < 0:
            return None
        ends = [0, 0] * k + [before, after]
        constant, value = pad(constant, ends, value=True), pad(value, ends, value=fill)
        index = pad(index, ends, value=-1)
    return Step(settled(constant, value), (Link(x, index),), () if moved else (Link(x, index),))


def _told_apart(x: Node, facts: Facts, k: int) -> bool:
    """Are channels told apart along the k-th dimension from the back, or is that the one channel of an image?"""
    dim = len(facts.layout) - 1 - k
    return facts.layout[dim] != 1 or (dim == 1 and facts.constant.numel() == 1 and g.same(g.shape(x)[1], 1))


_SIZED = "max_pool{}d.default adaptive_avg_pool{}d.default upsample_nearest{}d.vec reflection_pad{}d.default "
_SIZED += "replication_pad{}d.default"
_RESIZED = (aten.upsample_linear1d.vec, 1), (aten.upsample_trilinear3d.vec, 3), *((op, 2) for op in (
    aten.upsample_bilinear2d.vec, aten.upsample_bicubic2d.vec, aten._upsample_bilinear2d_aa.vec,
    aten._upsample_bicubic2d_aa.vec, aten._upsample_nearest_exact2d.vec,
))  # fmt: skip


def _table() -> dict[Any, Callable[[Node, Known], Step | None]]:
    rules: dict[Any, Any] = {op: _over(n) for op, n in _RESIZED}
    for n in (1, 2, 3):
        for name in _SIZED.format(n, n, n, n, n).split():
            packet, overload = name.split(".")
            rules[getattr(getattr(aten, packet), overload)] = _over(n)
    rules |= dict.fromkeys([aten.avg_pool1d.default, aten.avg_pool2d.default, aten.avg_pool3d.default], _average)
    rules |= dict.fromkeys([aten.mean.dim, aten.sum.dim_IntList, aten.amax.default, aten.amin.default], _reduced)
    return rules | {aten.constant_pad_nd.default: _padded}


WINDOWS = _table()
