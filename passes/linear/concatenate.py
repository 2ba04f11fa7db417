"""Operators side by side: outputs of several concatenated, or some outputs of one kept."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from nascc.passes.linear.add import align
from nascc.passes.linear.compose import Repair
from nascc.passes.linear.embed import tidy, with_groups
from nascc.passes.linear.operator import Operator, Refusal, Sizes
from nascc.passes.linear.threads import pinned


@pinned
def concatenate(ops: Sequence[Operator], size: Sizes | None = None, repair: Repair = Repair.NONE) -> Operator | Refusal:
    """x -> the outputs of all operators, one after the other along the channels, as one operator.

    Taps, strides and sizes as in `add`. Groups are taken apart and blocks looked for again: a split, a convolution
    of each part and a concat come out as one grouped convolution.
    """
    aligned = align(ops, size, repair)
    if isinstance(aligned, Refusal):
        return aligned
    return tidy(_stack([with_groups(op, 1) for op in aligned]))


def take_outputs(op: Operator, channels: Sequence[int]) -> Operator:
    """The operator that gives only `channels` of the output, in that order."""
    dense = with_groups(op, 1)
    rows = torch.tensor(list(channels), dtype=torch.long)
    kept = replace(
        dense,
        kernel=dense.kernel.index_select(0, rows.to(dense.kernel.device)),
        bias=None if op.bias is None else op.bias[rows],
        ones=None if op.ones is None else op.ones.index_select(0, rows.to(op.ones.device)),
    )
    if dense.remembered is not None:
        gain, support = dense.remembered
        kept = replace(kept, remembered=(None if gain is None else gain[rows], support[rows]))
    return tidy(kept)


def _stack(ops: Sequence[Operator]) -> Operator:
    kernel = torch.cat([op.kernel for op in ops])
    bias = torch.cat([op.bias_or_zeros for op in ops]) if any(op.bias is not None for op in ops) else None
    ones = None
    if any(op.ones is not None for op in ops):
        taps = kernel.shape[2:]
        parts = [op.kernel.new_zeros(op.c_out, *taps) if op.ones is None else op.ones for op in ops]
        ones = torch.cat(parts)
    remembered = None
    if kernel.is_meta:
        gains = [op.gain for op in ops if op.gain is not None]
        gain = torch.cat(gains) if len(gains) == len(ops) else None
        remembered = (gain, torch.cat([op.support for op in ops]))
    return replace(ops[0], kernel=kernel, bias=bias, ones=ones, remembered=remembered)
