"""What happens at the border when one operator reads beyond the edge of another's output."""

from dataclasses import replace

import torch
from torch import Tensor

from nascc.passes.linear.channels import regroup
from nascc.passes.linear.gain import same
from nascc.passes.linear.operator import Operator, Refusal, Sizes
from nascc.passes.linear.threads import pinned

Sides = tuple[tuple[bool, bool], ...]
AMPLIFICATION = 1e3
"""How much larger than the bias the terms W1 x* of a pad value may be before rounding would eat the gain."""


def reads_outside(op: Operator, size: Sizes) -> Sides:
    """For each dimension, does any output read (before, after) the image of `size`? Yes where the size is not known."""
    return tuple((op.offsets[d][0] <= -op.up[d], _reads_after(op, d, n)) for d, n in enumerate(size))


def _reads_after(op: Operator, d: int, n: int | None) -> bool:
    last = op.offsets[d][-1]
    if n is None:
        return op.extent[d] + last >= op.up[d]
    outputs = (op.up[d] * (n - 1) + op.extent[d]) // op.down[d] + 1
    return op.down[d] * (outputs - 1) + last >= op.up[d] * n


def sees_inside(op: Operator, size: Sizes) -> Sides:
    """For each dimension, would outputs (before, after) the first and last one still see pixels of the image?"""
    return tuple((op.offsets[d][-1] >= op.down[d], _sees_after(op, d, n)) for d, n in enumerate(size))


def _sees_after(op: Operator, d: int, n: int | None) -> bool:
    first = op.offsets[d][0]
    if n is None:
        return op.extent[d] + first < 0
    outputs = (op.up[d] * (n - 1) + op.extent[d]) // op.down[d] + 1
    return op.down[d] * outputs + first <= op.up[d] * (n - 1)


def is_padded(op: Operator, size: Sizes) -> bool:
    """Does any output read beyond the border?"""
    return any(any(sides) for sides in reads_outside(op, size))


def depends_on_data(second: Operator, first: Operator, size: Sizes) -> bool:
    """Would the second, reading beyond the first's output, see pixels where the original graph has padding?

    Exact for a known size; for others every size must be safe.
    """
    reads = reads_outside(second, first.out_size(size))
    sees = sees_inside(first, size)
    for d, n in enumerate(size):
        suspect = any(r and s for r, s in zip(reads[d], sees[d], strict=True))
        if suspect and (n is None or _sees_pixels(second, first, d, n)):
            return True
    return False


def _sees_pixels(second: Operator, first: Operator, d: int, n: int) -> bool:
    """The same question for one dimension, answered read by read."""
    middle = (first.up[d] * (n - 1) + first.extent[d]) // first.down[d] + 1
    outputs = (second.up[d] * (middle - 1) + second.extent[d]) // second.down[d] + 1
    reads = {second.down[d] * k + tap for k in range(outputs) for tap in second.offsets[d]}
    beyond = {r // second.up[d] for r in reads if r % second.up[d] == 0} - set(range(middle))
    seen = (first.down[d] * m + tap for m in beyond for tap in first.offsets[d])
    return any(p % first.up[d] == 0 and 0 <= p <= first.up[d] * (n - 1) for p in seen)


def outside_value(first: Operator) -> Tensor:
    """What the first's formula gives far outside the image, [C_out]."""
    if first.pad_value is None:
        return first.bias_or_zeros
    assert first.gain is not None, "an operator with a pad value has no upsampling, so it maps constants to constants"
    return first.bias_or_zeros + (regroup(first.gain, first.groups, 1) @ first.pad_value)


def shortfall(second: Operator, first: Operator) -> Tensor | None:
    """What the second's padding holds beyond what the first's formula gives there, [H]; None for nothing."""
    value, wanted = outside_value(first), second.pad_value_or_zeros
    return None if same(value, wanted) else wanted - value


@pinned
def solve_padding(first: Operator, wanted: Tensor) -> Tensor | Refusal:
    """The constant input [C_in] that the first maps to `wanted` [H]: padding with it makes both formulas agree."""
    if first.gain is None:
        return Refusal("pad_value needs a first operator that maps constants to constants")
    target = (wanted - first.bias_or_zeros).reshape(first.groups, -1, 1)
    matrix = first.gain.reshape(first.groups, -1, first.gain.shape[1])
    if not bool(matrix.isfinite().all() & target.isfinite().all()):
        return Refusal("pad_value needs finite weights and biases")
    solution: Tensor = torch.linalg.lstsq(matrix, target, driver="gelsd").solution
    scale = float(target.abs().max())
    if float((matrix @ solution - target).abs().max()) > 1e-12 * scale:
        return Refusal(f"no constant of {first.c_in} channels maps to the padding of all {first.c_out} channels")
    if float((matrix.abs() @ solution.abs()).max()) > AMPLIFICATION * scale:
        return Refusal("the pad value would be so large that rounding eats the result")
    return solution.reshape(-1)


def unit_taps(first: Operator, size: Sizes) -> tuple[tuple[int, ...], ...] | None:
    """Taps t such that 1_out[m] = sum over t of 1_in~[down * m + t]: the image's outline, seen from the output.

    None when the output's outline is not the input's, moved: then a bias can not ride on a channel of ones.
    """
    taps = []
    for u, s, e, n in zip(first.up, first.down, first.extent, size, strict=True):
        if u > 1:
            if s > 1 or e != u - 1:
                return None
            taps.append(tuple(range(1 - u, 1)))
            continue
        outputs = None if n is None else (n - 1 + e) // s + 1
        if e != 0 and (n is None or outputs is None or s * (outputs - 1) > n - 1 or s * outputs < n):
            return None
        taps.append((0,))
    return tuple(taps)


def fill_as_ones(op: Operator) -> Operator:
    """The same operator with zeros in its padding: what the pad value gave becomes a bias minus a channel of ones.

    sum W x~ = sum W x + (sum W v) (1 - 1_image), exact for any size.
    """
    if op.pad_value is None:
        return op
    assert op.gain is not None, "an operator with a pad value has no upsampling, so it maps constants to constants"
    taps = op.kernel.shape[2:]
    if op.is_outline:
        ones = op.kernel.new_empty(op.c_out, *taps)
    else:
        flat = regroup(op.kernel, op.groups, 1).flatten(2) if taps else regroup(op.kernel, op.groups, 1).unsqueeze(-1)
        moved = torch.einsum("oit,i->ot", flat, op.pad_value).reshape(op.c_out, *taps)
        ones = -moved if op.ones is None else op.ones - moved
    bias = op.bias_or_zeros + regroup(op.gain, op.groups, 1) @ op.pad_value
    return replace(op, pad_value=None, ones=ones, bias=bias)
