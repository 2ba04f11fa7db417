"""Average pooling: as a depthwise convolution where it is one, else as a mean that pointwise operators pass through."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch

from nascc.passes.linear.convert import convolution
from nascc.passes.linear.operator import Ints, Operator, Refusal, Sizes


@dataclass(frozen=True, eq=False)
class Averaging:
    """Each output pixel is a mean of pixels of its own channel, the same for all channels, weights summing to one.

    So it commutes with every pointwise operator, bias and all: average pools that leave padding out, interpolation.
    `operator` is the depthwise convolution it is, None where it is none; `size` its output size for the region's input;
    `adaptive` if that is the same for every input.
    """

    size: Ints
    operator: Operator | None = None
    adaptive: bool = False


@dataclass(frozen=True)
class Pool:
    """The arguments of `aten.avg_pool`; sizes a dimension."""

    kernel: Ints
    stride: Ints
    padding: Ints
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None

    def out_size(self, size: Sequence[int]) -> Ints:
        """Output size of an input size: the last window of ceil_mode must start on the image or before it."""
        return tuple(self._outputs(d, n) for d, n in enumerate(size))

    def _outputs(self, d: int, n: int) -> int:
        k, s, p = self.kernel[d], self.stride[d], self.padding[d]
        outputs = (n + 2 * p - k + (s - 1 if self.ceil_mode else 0)) // s + 1
        return outputs - 1 if self.ceil_mode and (outputs - 1) * s >= n + p else outputs

    def overhangs(self, size: Sizes) -> bool:
        """May a window of ceil_mode reach beyond the padding? Yes where the size is not known."""
        return self.ceil_mode and any(n is None or self._overhangs(d, n) for d, n in enumerate(size))

    def _overhangs(self, d: int, n: int) -> bool:
        last = (self._outputs(d, n) - 1) * self.stride[d] - self.padding[d] + self.kernel[d]
        return last > n + self.padding[d]


def average_pool(channels: int, pool: Pool, size: Ints, known: Sizes | None = None) -> Operator | Averaging | Refusal:
    """An average pool over [N, channels, *size]; `known` has None for dimensions that may change.

    A window's divisor is the same everywhere with divisor_override, or if no window holds pixels that do not count:
    then it is a depthwise convolution. It is an `Averaging` if its divisor is the number of pixels it adds up.
    """
    known = size if known is None else known
    padded, overhangs, forced = any(pool.padding), pool.overhangs(known), pool.divisor_override
    full = prod(pool.kernel)
    counts_pixels = forced is None and (not padded or not pool.count_include_pad)
    if forced is not None or not (overhangs or (padded and not pool.count_include_pad)):
        if overhangs and None in known:
            return Refusal("ceil_mode with divisor_override needs a static size")
        operator = _depthwise(channels, pool, size, 1 / (forced or full))
        is_mean = not padded and not overhangs and forced in (None, full)
        return Averaging(pool.out_size(size), operator) if is_mean else operator
    if counts_pixels:
        return Averaging(pool.out_size(size))
    return Refusal("a window of ceil_mode reaches beyond padding that counts: its divisor is its own")


def _depthwise(channels: int, pool: Pool, size: Ints, value: float) -> Operator:
    weight = torch.full((channels, 1, *pool.kernel), value, dtype=torch.float64)
    outputs = pool.out_size(size)
    dims = zip(pool.kernel, pool.stride, pool.padding, outputs, size, strict=True)
    after = [max(p, (o - 1) * s + k - n - p) if pool.ceil_mode else p for k, s, p, o, n in dims]
    sides = list(zip(pool.padding, after, strict=True))
    return convolution(weight, None, pool.stride, sides, [1] * len(after), channels)


def global_average_pool(channels: int, size: Ints, known: Sizes | None = None) -> Averaging:
    """The mean over all pixels, kept as [N, channels, 1, ...]; a convolution only where the size is known."""
    known = size if known is None else known
    one = (1,) * len(size)
    if None in known:
        return Averaging(one, adaptive=True)
    return Averaging(one, _depthwise(channels, Pool(size, one, (0,) * len(size)), size, 1 / prod(size)))


def adaptive_average_pool(channels: int, outputs: Ints, size: Ints, known: Sizes | None = None) -> Averaging:
    """`aten.adaptive_avg_pool` to `outputs`: a plain pool where they divide the known size."""
    known = size if known is None else known
    if all(o == 1 for o in outputs):
        return global_average_pool(channels, size, known)
    if None in known or any(n % o for n, o in zip(size, outputs, strict=True)):
        return Averaging(outputs, adaptive=True)
    window = tuple(n // o for n, o in zip(size, outputs, strict=True))
    found = average_pool(channels, Pool(window, window, (0,) * len(size)), size)
    return found if isinstance(found, Averaging) else Averaging(outputs, adaptive=True)


def shifted_means(first: Operator, size: Ints) -> tuple[Operator, Operator] | Refusal:
    """mean over all pixels of first(x) = matrix x (means of x under each tap): [N, C_in, *size] -> [N, C_out, 1, ...].

    A convolution of k taps before a global average pool becomes k means of each input channel, a depthwise operator
    as large as the image, and one small matrix: [C_in * k, 1, *size] and [C_out, (C_in / g) * k, 1, ...].
    """
    if any(u > 1 for u in first.up) or first.ones is not None or first.pad_value is not None or first.groups > 1:
        return Refusal("means can be taken before a plain, dense convolution only")
    outputs = first.out_size(size)
    if None in outputs:
        return Refusal("means under each tap need a static size")
    masks = torch.ones(1, dtype=torch.float64)
    for d, n in enumerate(size):
        rows = torch.stack([_hits(tap, first.down[d], outputs[d] or 0, n) for tap in first.offsets[d]])
        masks = masks.reshape(-1, 1, *masks.shape[1:], 1) * rows.reshape(1, -1, *[1] * d, n)
        masks = masks.reshape(-1, *size[: d + 1])
    rank = len(size)
    stacked = masks.repeat(first.c_in, *[1] * rank).unsqueeze(1)
    means = convolution(stacked, None, [1] * rank, [0] * rank, [1] * rank, first.c_in)
    kernel = first.kernel.reshape(first.c_out, -1, *[1] * rank)
    remembered = None
    if first.is_outline:
        ones = torch.ones(kernel.shape[:2], dtype=torch.bool)
        remembered = (None, ones)
    one = (1,) * rank
    matrix = Operator(kernel, ((0,),) * rank, one, one, (0,) * rank, 1, first.bias, remembered=remembered)
    return means, matrix


def _hits(tap: int, down: int, outputs: int, n: int) -> torch.Tensor:
    """How often output m reads pixel j = down * m + tap, over the number of outputs: [n]."""
    row = torch.zeros(n, dtype=torch.float64)
    for m in range(outputs):
        if 0 <= down * m + tap < n:
            row[down * m + tap] += 1 / outputs
    return row
