"""Sizes of values, as operators take them and as users read them."""

from collections.abc import Iterable

import torch


def text(sizes: Iterable[object]) -> str:
    """`2x3x8x8`."""
    return "x".join(map(str, sizes))


def sizes_or_minus_one(sizes: Iterable[int | torch.SymInt]) -> list[int]:
    """Sizes for a reshape: -1 for the one that is dynamic."""
    return [size if isinstance(size, int) else -1 for size in sizes]
