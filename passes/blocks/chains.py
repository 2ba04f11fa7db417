"""Runs of convolutions without module borders to go by: two weighted calls make a block, pooling ends one."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor
from torch.fx import Node

from nascc.passes import graph as g
from nascc.passes.blocks.flow import Flow, Span
from nascc.passes.blocks.weighted import is_weighted

aten = torch.ops.aten
PAIR = 2
"""Weighted calls of a block of a chain."""


def chain_spans(flow: Flow, span: Span) -> Iterator[Span]:
    """Blocks of a closed span: each begins with a weighted part and ends before the third, or before its map shrinks.

    A part with branches is a block of its own; what has no weights and may stand at the end of one (batch norm,
    activations) belongs to it.
    """
    run: list[Span] = []
    for atom in flow.atoms(span):
        weight = sum(map(is_weighted, flow.calls(atom)))
        if run and (_ends(flow, run, atom, weight)):
            yield _joined(run)
            run = []
        if run or (weight and not _is_odd(flow, atom)):
            run.append(atom)
    if run:
        yield _joined(run)


def resolutions(flow: Flow, span: Span) -> int:
    """How many sizes of maps occur one after another, the one that is read included."""
    sides = [_side(flow.begin(span)), *(_side(flow.end(atom)) for atom in flow.atoms(span))]
    known = [side for side in sides if side is not None]
    return 1 + sum(a != b for a, b in pairwise(known))


def _ends(flow: Flow, run: list[Span], atom: Span, weight: int) -> bool:
    """Must a run end before this part?"""
    held = sum(is_weighted(node) for part in run for node in flow.calls(part))
    alone = any(part.size > 1 for part in run) or (atom.size > 1 and weight > 0)
    shrinks = _side(flow.end(atom)) != _side(flow.end(run[-1]))
    return shrinks or (weight > 0 and (alone or held >= PAIR)) or _is_odd(flow, atom)


def _is_odd(flow: Flow, atom: Span) -> bool:
    """Is it no map any more?"""
    return _side(flow.end(atom)) is None


def _side(node: Node) -> tuple[int, int] | None:
    value = g.value(node)
    return (int(value.shape[2]), int(value.shape[3])) if isinstance(value, Tensor) and value.ndim == 4 else None


def _joined(run: list[Span]) -> Span:
    return Span(run[0].first, run[-1].last)
