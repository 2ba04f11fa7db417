"""Finds files of equal content."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


def groups_of_equals(paths: Sequence[Path], sizes: Sequence[int], workers: int) -> list[int]:
    """A number for each file, the same for equal bytes; only files whose size recurs are read. Raises OSError."""
    often = Counter(sizes)

    def content(index: int) -> str:
        if often[sizes[index]] == 1:
            return f"size {sizes[index]}"
        return hashlib.sha256(paths[index].read_bytes()).hexdigest()

    return numbered(in_threads(content, range(len(paths)), workers))


def numbered(contents: Sequence[str]) -> list[int]:
    """Equal strings -> equal numbers, from 0 in the order of first appearance."""
    first: dict[str, int] = {}
    return [first.setdefault(content, len(first)) for content in contents]


def in_threads(function: Callable[[int], T], indices: Sequence[int], workers: int) -> list[T]:
    """`function` of each index, in order."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, indices))
