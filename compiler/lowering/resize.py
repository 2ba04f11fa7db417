"""Interpolation to another height and width, sampling on a grid, and moving pixels between channels and space."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from nascc.compiler.lowering.dtypes import cast
from nascc.compiler.lowering.layout import reshape, transpose
from nascc.compiler.lowering.unlowerable import Refusal
from nascc.compiler.lowering.values import Dim, Value
from nascc.compiler.lowering.writer import Writer

aten = torch.ops.aten
Factors = Sequence[float] | None


def upsample_nearest(w: Writer, x: Value, size: Any, factors: Factors) -> Value:
    """Pixel floor(i / factor)."""
    return _resize(w, x, factors, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


def upsample_nearest_exact(w: Writer, x: Value, size: Any, factors: Factors) -> Value:
    """Pixel floor((i + 0.5) / factor)."""
    kind: dict[str, Any] = {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"}
    return _resize(w, x, factors, mode="nearest", **kind)


def upsample_smooth(
    mode: str, antialias: bool, w: Writer, x: Value, size: Any, align_corners: bool = False, factors: Factors = None
) -> Value:
    """Linear or cubic interpolation between pixel centres, or between corners."""
    centres = "align_corners" if align_corners else "half_pixel"
    options: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": centres}
    if mode == "cubic":
        options["cubic_coeff_a"] = -0.5 if antialias else -0.75
    if antialias:
        options |= {"antialias": 1, "exclude_outside": 1}
    return _resize(w, x, factors, **options)


def _resize(w: Writer, x: Value, factors: Factors, **options: Any) -> Value:
    """By factors where they are given or exact, else by sizes; roi is not used."""
    if x.shape == w.out.shape:
        return x
    ratios = _ratios(x.shape[2:], w.out.shape[2:], factors)
    no_roi = w.empty() if w.opset < 13 else None
    if ratios is not None:
        scales = w.literal(torch.tensor([1.0, 1.0, *ratios]), torch.float32)
        return w.emit("Resize", x, no_roi, scales, dtype=x.dtype, **options)
    no_scales = w.empty() if w.opset < 13 else None
    if w.opset >= 18:
        sizes = w.sizes(w.out.shape[2:], near=x)
        return w.emit("Resize", x, no_roi, None, sizes, dtype=x.dtype, axes=list(range(2, x.rank)), **options)
    return w.emit("Resize", x, no_roi, no_scales, w.sizes(w.out.shape, near=x), dtype=x.dtype, **options)


def _ratios(before: Sequence[Dim], after: Sequence[Dim], factors: Factors) -> list[float] | None:
    """The factors, if float32 arithmetic leads from one size to the other with them; exact ones are found."""
    static = all(isinstance(d, int) for d in (*before, *after))
    if factors is None:
        if not static:
            return None
        factors = [int(b) / int(a) for a, b in zip(before, after, strict=True)]
        if any(f != float(np.float32(f)) for f in factors):
            return None
    rounded = [np.float32(f) for f in factors]
    if static and any(int(np.floor(np.float32(a) * f)) != b for a, f, b in zip(before, rounded, after, strict=True)):
        return None
    return [float(f) for f in rounded]


def grid_sample(w: Writer, x: Value, grid: Value, mode: int, padding: int, align_corners: bool) -> Value:
    """x [N, C, H, W] read at grid [N, h, w, 2] in [-1, 1]."""
    names = ("linear", "nearest", "cubic") if w.opset >= 20 else ("bilinear", "nearest", "bicubic")
    if x.rank != 4 and w.opset < 20:
        raise Refusal("samples a volume, which ONNX has from opset 20 on")
    border = ("zeros", "border", "reflection")[padding]
    options: dict[str, Any] = {"mode": names[mode], "padding_mode": border, "align_corners": int(align_corners)}
    return w.emit("GridSample", x, cast(w, grid, x.dtype), dtype=x.dtype, **options)


def pixel_shuffle(w: Writer, x: Value, factor: int) -> Value:
    """[N, C * r * r, H, W] -> [N, C, H * r, W * r]."""
    if x.rank != 4:
        raise Refusal("rearranges pixels of a tensor that is not [N, C, H, W]")
    return w.emit("DepthToSpace", x, dtype=x.dtype, blocksize=factor, mode="CRD")


def pixel_unshuffle(w: Writer, x: Value, factor: int) -> Value:
    """[N, C, H * r, W * r] -> [N, C * r * r, H, W]."""
    n, c, *_ = x.shape
    _, _, height, width = w.out.shape
    cut = reshape(w, x, (n, c, height, factor, width, factor), near=x)
    return reshape(w, transpose(w, cut, [0, 1, 3, 5, 2, 4]), w.out.shape)


def channel_shuffle(w: Writer, x: Value, groups: int) -> Value:
    """Channels dealt out: [N, g, C / g, ...] with the two axes exchanged."""
    n, c, *rest = x.shape
    if not isinstance(c, int):
        raise Refusal("shuffles a dynamic number of channels")
    cut = reshape(w, x, (n, groups, c // groups, *rest), near=x)
    return reshape(w, transpose(w, cut, [0, 2, 1, *range(3, cut.rank)]), x.shape, near=x)


def _smooth(mode: str, antialias: bool = False) -> Any:
    return partial(upsample_smooth, mode, antialias)


LOWERINGS: dict[Any, Any] = {
    aten.upsample_nearest1d.vec: upsample_nearest,
    aten.upsample_nearest2d.vec: upsample_nearest,
    aten.upsample_nearest3d.vec: upsample_nearest,
    aten._upsample_nearest_exact1d.vec: upsample_nearest_exact,
    aten._upsample_nearest_exact2d.vec: upsample_nearest_exact,
    aten._upsample_nearest_exact3d.vec: upsample_nearest_exact,
    aten.upsample_linear1d.vec: _smooth("linear"),
    aten.upsample_bilinear2d.vec: _smooth("linear"),
    aten.upsample_trilinear3d.vec: _smooth("linear"),
    aten.upsample_bicubic2d.vec: _smooth("cubic"),
    aten._upsample_bilinear2d_aa.vec: _smooth("linear", antialias=True),
    aten._upsample_bicubic2d_aa.vec: _smooth("cubic", antialias=True),
    aten.grid_sampler.default: grid_sample,
    aten.grid_sampler_2d.default: grid_sample,
    aten.pixel_shuffle.default: pixel_shuffle,
    aten.pixel_unshuffle.default: pixel_unshuffle,
    aten.channel_shuffle.default: channel_shuffle,
    aten.native_channel_shuffle.default: channel_shuffle,
    aten.native_channel_shuffle.default: channel_shuffle,
}
NEEDS = {
    aten.grid_sampler.default: 16,
    aten.grid_sampler_2d.default: 16,
    aten._upsample_bilinear2d_aa.vec: 18,
    aten._upsample_bicubic2d_aa.vec: 18,
}
