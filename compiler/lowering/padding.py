"""Padding: constant, reflected, replicated, circular; zero padding before a convolution or pool merges into it."""

from collections.abc import Sequence

import torch

from nascc.compiler.lowering.dtypes import cast
from nascc.compiler.lowering.layout import numbers
from nascc.compiler.lowering.pieces import concat, slice_axis
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten
Pads = tuple[list[int], list[int]]


def split_pads(pads: Sequence[int], rank: int) -> Pads:
    """torch's (last axis first, begin and end interleaved) as (begins, ends) over all axes."""
    begins, ends = [0] * rank, [0] * rank
    for i in range(len(pads) // 2):
        begins[rank - 1 - i], ends[rank - 1 - i] = pads[2 * i], pads[2 * i + 1]
    return begins, ends


def constant_pad(w: Writer, x: Value, pads: Sequence[int], value: float = 0) -> Value:
    """Pad with a constant; negative amounts crop."""
    return _pad(w, x, pads, "constant", value)


def reflection_pad(w: Writer, x: Value, pads: Sequence[int]) -> Value:
    """Mirror at the border, the border element not repeated."""
    return _pad(w, x, pads, "reflect", None)


def replication_pad(w: Writer, x: Value, pads: Sequence[int]) -> Value:
    """Repeat the border element."""
    return _pad(w, x, pads, "edge", None)


def circular_pad(w: Writer, x: Value, pads: Sequence[int]) -> Value:
    """Continue on the other side of the tensor."""
    begins, ends = split_pads(pads, x.rank)
    for axis, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        size = x.shape[axis]
        if not begin and not end:
            continue
        if not isinstance(size, int) or begin < 0 or end < 0:
            raise Refusal("continues around an axis of dynamic size, or crops it")
        parts = [slice_axis(w, x, axis, size - begin, size, 1, begin)] if begin else []
        parts += [x, slice_axis(w, x, axis, 0, end, 1, end)] if end else [x]
        x = concat(w, parts, axis, (*x.shape[:axis], begin + size + end, *x.shape[axis + 1 :]))
    return x


def _pad(w: Writer, x: Value, pads: Sequence[int], mode: str, value: float | None) -> Value:
    if any(not isinstance(p, int) for p in pads):
        raise Refusal("pads by amounts known only at run time")
    if x.dtype == torch.bool:
        return cast(w, _pad(w, cast(w, x, torch.int32), pads, mode, value), torch.bool)
    begins, ends = split_pads(pads, x.rank)
    x = _crop(w, x, begins, ends)
    begins, ends = [max(p, 0) for p in begins], [max(p, 0) for p in ends]
    if not any(begins + ends):
        return x
    filler = None if value is None or value == 0 else w.scalar(value, x.dtype)
    return w.emit("Pad", x, w.ints(begins + ends), filler, dtype=x.dtype, mode=mode)


def _crop(w: Writer, x: Value, begins: list[int], ends: list[int]) -> Value:
    for axis, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        if begin < 0 or end < 0:
            size = x.shape[axis]
            if not isinstance(size, int):
                raise Refusal("crops an axis of dynamic size")
            start, stop = max(-begin, 0), size - max(-end, 0)
            x = slice_axis(w, x, axis, start, stop, 1, stop - start)
    return x


def absorb_padding(x: Value, pads: Pads, filler: float) -> tuple[Value, Pads]:
    """The input of a constant Pad over spatial axes that fills with `filler`, and the pads with its amounts added."""
    op = x.made_by("Pad")
    if op is None or op.attributes["mode"] != "constant" or op.inputs[0] is None:
        return x, pads
    value = op.inputs[2] if len(op.inputs) > 2 else None
    found = 0.0 if value is None or value.tensor is None else float(value.tensor)
    amounts = numbers(op.inputs[1])
    begins, ends = amounts[: x.rank], amounts[x.rank :]
    if found != filler or any(begins[:2] + ends[:2]):
        return x, pads
    return op.inputs[0], (_sum(pads[0], begins[2:]), _sum(pads[1], ends[2:]))


def _sum(a: Sequence[int], b: Sequence[int]) -> list[int]:
    return [x + y for x, y in zip(a, b, strict=True)]


LOWERINGS = {
    aten._pad_circular.default: circular_pad,
    aten.constant_pad_nd.default: constant_pad,
    aten.reflection_pad1d.default: reflection_pad,
    aten.reflection_pad2d.default: reflection_pad,
    aten.reflection_pad3d.default: reflection_pad,
    aten.replication_pad1d.default: replication_pad,
    aten.replication_pad2d.default: replication_pad,
    aten.replication_pad3d.default: replication_pad,
}
