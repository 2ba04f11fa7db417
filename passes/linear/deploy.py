"""An operator with everything its border needs, as tensors that a graph can hold."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nascc.passes.cancellation import without_residue
from nascc.passes.linear import border
from nascc.passes.linear.channels import regroup
from nascc.passes.linear.convolution import Convolution, run, to_convolution
from nascc.passes.linear.operator import Ints, Operator, Refusal, Sizes
from nascc.passes.linear.threads import pinned

EXACT = "exact"
BORDER_MAP, BORDER_TILE, ONES_CHANNEL, PAD_VALUE = "border_map", "border_tile", "ones_channel", "pad_value"
FIXES = (EXACT, PAD_VALUE, BORDER_MAP, BORDER_TILE, ONES_CHANNEL)


@dataclass(frozen=True, eq=False)
class Deployed:
    """A convolution and what goes with it. With x [N, C_in, *size], z is:

    exact         conv(x)
    pad_value     conv(x - subtract), `subtract` [C_in]: the zero padding then stands for the pad value
    border_map    conv(x) + addend, [C_out, *out], the bias is in it
    border_tile   conv(x) + expand(addend, rows), the bias is in it: see `expand`
    ones_channel  conv(cat([x, 1], dim=1)): the last input channel of the convolution reads ones

    One that `flattens` is a linear layer on x flattened to vectors [N, C_in * prod(size)].
    """

    conv: Convolution
    fix: str = EXACT
    subtract: Tensor | None = None
    addend: Tensor | None = None
    rows: tuple[tuple[int, int] | None, ...] = ()
    flattens: bool = False

    def __call__(self, x: Tensor) -> Tensor:
        """z for x [N, C_in, *size]."""
        if self.flattens:
            return run(self.conv, x.flatten(1))
        if self.subtract is not None:
            x = x - self.subtract.reshape(1, -1, *[1] * self.conv.rank)
        if self.fix == ONES_CHANNEL:
            x = torch.cat([x, x.new_ones(x.shape[0], 1, *x.shape[2:])], dim=1)
        y = run(self.conv, x)
        return y if self.addend is None else y + expand(self.addend, self.rows, tuple(y.shape[2:]))


def expand(tile: Tensor, rows: tuple[tuple[int, int] | None, ...], size: Ints) -> Tensor:
    """A tile [C, *t] gathered to [C, *size].

    A dimension with rows (b, a) has t = b + 1 + a: the first b and last a rows stay at their ends, the middle one is
    repeated between them. Dimensions without rows are taken as they are.
    """
    for dim, (ends, n) in enumerate(zip(rows, size, strict=True), start=1):
        if ends is not None:
            index = torch.tensor([*range(ends[0]), *[ends[0]] * (n - sum(ends)), *range(ends[0] + 1, sum(ends) + 1)])
            tile = tile.index_select(dim, index)
    return tile


def fixes_for(op: Operator, size: Sizes, smallest: Ints) -> tuple[str, ...]:
    """The fixes that are exact for inputs of `size` (None: any from `smallest` on)."""
    if op.ones is None:
        return (EXACT,) if op.pad_value is None else (PAD_VALUE,)
    kinds = []
    if None not in size:
        kinds.append(BORDER_MAP)
    elif _tile_rows(op, size, smallest) is not None:
        kinds.append(BORDER_TILE)
    if op.groups == 1:
        kinds.append(ONES_CHANNEL)
    return tuple(kinds)


def evened(op: Operator, size: Sizes) -> Operator:
    """The same operator for this size, padded as much after as before where that gives the same outputs."""
    extent = tuple(_even_extent(op, d, n) for d, n in enumerate(size))
    return replace(op, extent=extent)


def _even_extent(op: Operator, d: int, n: int | None) -> int:
    even = -op.offsets[d][0] - op.offsets[d][-1]
    if n is None and op.multiple and op.multiple[d] % op.down[d] == 0:
        n = op.multiple[d]
    if n is None or op.up[d] > 1 or (n - 1 + even) // op.down[d] != (n - 1 + op.extent[d]) // op.down[d]:
        return op.extent[d]
    return even


@pinned
def deploy(op: Operator, fix: str, size: Sizes, smallest: Ints = ()) -> Deployed | Refusal:
    """The operator as a convolution and one fix of `fixes_for`; any fix will do for one that needs none."""
    legal = fixes_for(op, size, smallest or (1,) * op.rank)
    op = evened(op, size)
    if legal in ((EXACT,), (PAD_VALUE,)):
        fix = legal[0]
    if fix not in legal:
        return Refusal(
            f"{fix} is not exact here, only {', '.join(legal) or 'nothing'}: size {size}, groups {op.groups}"
        )
    if fix == EXACT:
        return Deployed(to_convolution(op))
    if fix == PAD_VALUE:
        return _with_pad_value(op)
    if fix == ONES_CHANNEL:
        return Deployed(to_convolution(_with_ones_channel(op)), fix)
    return _with_map(op, size, smallest or (1,) * op.rank)


def _with_pad_value(op: Operator) -> Deployed:
    assert op.pad_value is not None and op.gain is not None, "an operator with a pad value has a gain"
    own, gain = op.bias_or_zeros, regroup(op.gain, op.groups, 1)
    terms = own.abs() + gain.abs() @ op.pad_value.abs()
    bias = without_residue(own + gain @ op.pad_value, terms)
    return Deployed(to_convolution(replace(op, pad_value=None, bias=bias)), PAD_VALUE, subtract=op.pad_value)


def _with_ones_channel(op: Operator) -> Operator:
    assert op.ones is not None, "only an operator with ones needs their channel"
    zero_padded = border.fill_as_ones(op)
    assert zero_padded.ones is not None
    kernel = torch.cat([op.kernel, zero_padded.ones.unsqueeze(1)], dim=1)
    return replace(zero_padded, kernel=kernel, ones=None, remembered=None)


def _with_map(op: Operator, size: Sizes, smallest: Ints) -> Deployed:
    op = border.fill_as_ones(op)
    assert op.ones is not None
    rows = _tile_rows(op, size, smallest) or (None,) * op.rank
    ones = Operator(op.ones.unsqueeze(1), op.offsets, op.up, op.down, op.extent)
    image = [_tile_input(op, d, ends) if n is None else n for d, (n, ends) in enumerate(zip(size, rows, strict=True))]
    device = op.kernel.device
    border_map = run(to_convolution(ones), torch.ones(1, 1, *image, dtype=torch.float64, device=device))[0]
    addend = border_map + op.bias_or_zeros.to(device).reshape(-1, *[1] * op.rank)
    kind = BORDER_MAP if None not in size else BORDER_TILE
    return Deployed(to_convolution(replace(op, ones=None, bias=None)), kind, addend=addend, rows=rows)


def _tile_input(op: Operator, d: int, ends: tuple[int, int] | None) -> int:
    """Input size whose output has just the rows of the tile."""
    assert ends is not None, "a dimension of unknown size has rows"
    return sum(ends) + 1 - op.extent[d]


def _tile_rows(op: Operator, size: Sizes, smallest: Ints) -> tuple[tuple[int, int] | None, ...] | None:
    """(rows that see the border before, after) of each dimension of unknown size; None when no tile fits all sizes."""
    rows: list[tuple[int, int] | None] = []
    for d, n in enumerate(size):
        if n is not None:
            rows.append(None)
            continue
        before, after = max(0, -op.offsets[d][0]), max(0, op.extent[d] + op.offsets[d][-1])
        if op.up[d] > 1 or op.down[d] > 1 or smallest[d] + op.extent[d] < before + after:
            return None
        rows.append((before, after))
    return tuple(rows)
